"""Connections that are asked to end: what goes on over them is cut in the end, and a watch misses no event of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import headstart
import pytest
from headstart.v1 import training_pb2 as pb
from headstart.v1 import training_pb2_grpc
from headstart_server.rpc.connection_options import ConnectionLimits, connection_options

from tests.support.serving_here import serving

_EVENTS = 60


class Ticking(training_pb2_grpc.TrainingServiceServicer):
    """A job that says something every 50 ms, three seconds long."""

    def __init__(self) -> None:
        self.watches: list[int] = []

    async def WatchTrainJob(  # noqa: N802
        self, request: pb.WatchTrainJobRequest, context: Any
    ) -> AsyncIterator[pb.WatchTrainJobResponse]:
        self.watches.append(request.after_sequence)
        for sequence in range(request.after_sequence + 1, _EVENTS + 1):
            await asyncio.sleep(0.05)
            event = pb.TrainJobEvent(job=request.name, sequence=sequence, terminal=sequence == _EVENTS)
            if sequence == _EVENTS:
                event.state_change.state = pb.TrainJob.STATE_SUCCEEDED
            else:
                event.warning.message = str(sequence)
            yield pb.WatchTrainJobResponse(event=event)

    async def GetTrainJob(self, request: pb.GetTrainJobRequest, context: Any) -> pb.TrainJob:  # noqa: N802
        return pb.TrainJob(name=request.name, state=pb.TrainJob.STATE_SUCCEEDED, last_sequence=_EVENTS)


async def test_a_watch_goes_on_over_connections_that_grow_too_old() -> None:
    service, limits = Ticking(), ConnectionLimits(max_age=0.3, max_age_grace=0.3)
    quick = headstart.RetryPolicy(initial_delay=0.01, longest_delay=0.05)
    async with serving(TrainingService=service, limits=limits) as server:  # noqa: SIM117 - the client needs its port
        async with headstart.AsyncClient(f"127.0.0.1:{server.port}", retry=quick) as client:
            run = client.watch("trainJobs/j")
            found = [event.sequence async for event in run]
    assert found == list(range(1, _EVENTS + 1))
    assert len(set(service.watches)) > 1
    # a connection may end before anything has come over it
    assert service.watches == sorted(service.watches)


@pytest.mark.parametrize(("seconds", "milliseconds"), [(0.0, 2**31 - 1), (1.5, 1_500), (1e9, 2**31 - 1)])
def test_ages_are_told_as_grpc_counts_them(seconds: float, milliseconds: int) -> None:
    options = dict(connection_options(ConnectionLimits(max_age=seconds, max_age_grace=seconds)))
    assert options["grpc.max_connection_age_ms"] == options["grpc.max_connection_age_grace_ms"] == milliseconds


def test_no_option_is_given_twice() -> None:
    names = [name for name, _ in connection_options(ConnectionLimits())]
    assert len(set(names)) == len(names)
