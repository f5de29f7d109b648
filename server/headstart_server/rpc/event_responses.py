"""Responses of the streams that tell a job's events: of one event, or of those that are there together."""

from collections.abc import Iterator, Sequence

from headstart.v1 import training_pb2 as pb

from headstart_server.core.errors import invalid
from headstart_server.rpc.remembered import Remembered

MOST_EVENTS = 1_000
_MOST_BYTES = 1 << 20
"""Of a response's events: well below the 4 MiB that clients accept."""


def max_events(given: int) -> int:
    """Most events of one response; raises InvalidInputError."""
    if not 0 <= given <= MOST_EVENTS:
        raise invalid("max_events", f"{given} is out of range; use 1 to {MOST_EVENTS}, or 0 for one")
    return given or 1


class EventResponses:
    """Each is made once for all who watch a job: they hear of its events at about the same time."""

    def __init__(self) -> None:
        self._made: Remembered[tuple[pb.TrainJobEvent, ...], pb.WatchTrainJobResponse] = Remembered(
            lambda events: pb.WatchTrainJobResponse(event=events[0], more_events=events[1:]), most=1_000
        )

    def of(self, events: Sequence[pb.TrainJobEvent], most: int) -> Iterator[pb.WatchTrainJobResponse]:
        """The responses that tell `events`, of at most so many each. Others may hold the same messages."""
        for group in _groups(events, most):
            yield self._made.of(f"{group[0].job}/{group[0].sequence}+{len(group)}", group)


def _groups(events: Sequence[pb.TrainJobEvent], most: int) -> Iterator[tuple[pb.TrainJobEvent, ...]]:
    group, size = list[pb.TrainJobEvent](), 0
    for event in events:
        length = event.ByteSize() if most > 1 else 0
        if group and (len(group) == most or size + length > _MOST_BYTES):
            yield tuple(group)
            group, size = [], 0
        group.append(event)
        size += length
    if group:
        yield tuple(group)
