"""A dropped stream is picked up again: every event once, no job twice, and not for ever."""

from __future__ import annotations

import itertools

import grpc
import headstart
import pytest
from headstart.v1.training_pb2 import TrainJob

from tests.support.fake_server import FakeServer
from tests.support.fake_training import losses, script_of
from tests.support.refusals import Refusal
from tests.unit.client.conftest import QUICK

SPEC = {"input_features": [{"name": "review", "type": "text"}]}
ROWS = {"review": ["good", "bad"]}


@pytest.mark.parametrize("breaks", [[2], [1, 1, 1, 1], [3, 0, 0, 1], [5], [0, 0, 4, 1]])
def test_train_yields_each_event_once_however_the_stream_drops(
    server: FakeServer, client: headstart.Client, breaks: list[int]
) -> None:
    server.training.breaks.extend(breaks)
    events = list(client.train(SPEC, ROWS))
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5]
    assert not server.training.breaks


@pytest.mark.parametrize("breaks", [[2], [1, 1, 1, 1], [3, 0, 0, 1], [5], [0, 0, 4, 1]])
async def test_async_train_yields_each_event_once_however_the_stream_drops(
    server: FakeServer, async_client: headstart.AsyncClient, breaks: list[int]
) -> None:
    server.training.breaks.extend(breaks)
    events = [event async for event in await async_client.train(SPEC, ROWS)]
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5]
    assert not server.training.breaks


def test_events_that_a_server_sends_twice_are_handed_out_once(server: FakeServer, client: headstart.Client) -> None:
    server.training.overlap = 2
    server.training.breaks.extend([3, 3])
    assert [event.sequence for event in client.train(SPEC, ROWS)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("breaks", [[], [2], [4], [2, 2], [0, 4]])
def test_events_that_come_together_are_handed_out_one_by_one(
    server: FakeServer, client: headstart.Client, breaks: list[int]
) -> None:
    server.training.together = 2
    server.training.breaks.extend(breaks)
    assert [event.sequence for event in client.train(SPEC, ROWS)] == [1, 2, 3, 4, 5]
    assert [event.sequence for event in client.watch("trainJobs/j1", after_sequence=1)] == [2, 3, 4, 5]
    assert not server.training.breaks


def test_resuming_asks_only_for_what_was_not_seen(server: FakeServer, client: headstart.Client) -> None:
    server.training.breaks.extend([2, 1])
    list(client.train(SPEC, ROWS))
    assert len(server.training.requests) == 1
    assert [watch.after_sequence for watch in server.training.watches] == [2, 3]


def test_a_drop_before_the_first_event_repeats_the_same_request(server: FakeServer, client: headstart.Client) -> None:
    server.training.breaks.extend([0, 0])
    run = client.train(SPEC, ROWS)
    first, *others = server.training.requests
    assert first.request_id
    assert others == [first, first]
    assert len(server.training.jobs) == 1
    assert run.name == f"trainJobs/{first.request_id}"


def test_two_calls_without_a_request_id_are_two_jobs(server: FakeServer, client: headstart.Client) -> None:
    client.train(SPEC, ROWS).close()
    client.train(SPEC, ROWS).close()
    assert len(server.training.jobs) == 2


def test_a_given_request_id_is_sent_as_it_is(server: FakeServer, client: headstart.Client) -> None:
    client.train(SPEC, ROWS, request_id="mine", display_name="reviews").close()
    assert server.training.requests[0].request_id == "mine"
    assert server.training.requests[0].display_name == "reviews"


@pytest.mark.parametrize(
    "drop",
    [
        Refusal(grpc.StatusCode.ABORTED, "try again", reason="LOST"),
        Refusal(grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2"),
        Refusal(grpc.StatusCode.UNKNOWN, "Stream removed"),
        Refusal(grpc.StatusCode.UNAVAILABLE, "shutting down", reason="SHUTTING_DOWN", retry_after=0.001),
    ],
    ids=lambda drop: drop.code.name,
)
def test_every_kind_of_drop_is_resumed(server: FakeServer, client: headstart.Client, drop: Refusal) -> None:
    server.training.drop = drop
    server.training.breaks.append(2)
    assert len(list(client.train(SPEC, ROWS))) == 5


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(grpc.StatusCode.INTERNAL, "a bug near a connection", reason="INTERNAL"),
        Refusal(grpc.StatusCode.UNKNOWN, "Exception calling application"),
        Refusal(grpc.StatusCode.INVALID_ARGUMENT, "no", reason="BAD_SPEC"),
    ],
    ids=lambda refusal: refusal.code.name,
)
def test_an_answer_is_no_drop(server: FakeServer, client: headstart.Client, refusal: Refusal) -> None:
    server.training.refusal = refusal
    with pytest.raises(headstart.HeadstartError, match=refusal.message):
        client.train(SPEC, ROWS)
    assert len(server.training.requests) == 1


def test_a_stream_that_ends_early_without_an_error_is_resumed(server: FakeServer, client: headstart.Client) -> None:
    whole = server.training.script
    server.training.script = whole[:2]
    run = client.train(SPEC, ROWS)
    assert next(run).sequence == 1
    assert next(run).sequence == 2
    server.training.script = whole
    assert [event.sequence for event in run] == [3, 4, 5]


def test_watching_an_ended_job_after_its_last_event_ends_at_once(server: FakeServer, client: headstart.Client) -> None:
    assert list(client.watch("j1", after_sequence=5)) == []
    assert [watch.name for watch in server.training.watches] == ["trainJobs/j1"]


def test_watching_gives_up_when_nothing_arrives(server: FakeServer) -> None:
    server.training.breaks.extend([0] * 1000)
    looks = itertools.count()  # a clock that goes on whenever it is looked at: a busy machine changes nothing
    policy = headstart.RetryPolicy(
        initial_delay=0.01,
        longest_delay=0.01,
        give_up_after=0.2,
        connect_timeout=0.2,
        clock=lambda: 0.01 * next(looks),
    )
    with headstart.Client(server.address, retry=policy) as client, pytest.raises(headstart.Unavailable):
        list(client.watch("j1"))
    assert 2 < len(server.training.watches) < 60


def test_watching_goes_on_over_a_restart_of_the_server() -> None:
    with FakeServer() as first, headstart.Client(first.address, retry=QUICK) as client:
        first.training.breaks.append(2)
        run = client.train(SPEC, ROWS)
        seen = [next(run).sequence, next(run).sequence]
        first.__exit__(None, None, None)
        with FakeServer(first.address):
            seen += [event.sequence for event in run]
    assert seen == [1, 2, 3, 4, 5]


def test_a_failed_job_raises_from_result_and_not_from_its_events(server: FakeServer, client: headstart.Client) -> None:
    server.training.script = script_of(*losses(0.5), end=TrainJob.STATE_FAILED)
    run = client.train(SPEC, ROWS)
    assert [event.sequence for event in run] == [1, 2, 3]
    with pytest.raises(headstart.JobFailed, match="smaller batch_size") as raised:
        run.result()
    assert raised.value.reason == "OUT_OF_MEMORY"
    assert raised.value.job.state == TrainJob.STATE_FAILED


async def test_a_cancelled_job_raises_from_async_result(
    server: FakeServer, async_client: headstart.AsyncClient
) -> None:
    server.training.script = script_of(end=TrainJob.STATE_CANCELLED)
    run = await async_client.train(SPEC, ROWS)
    with pytest.raises(headstart.JobCancelled):
        await run.result()
    await run.cancel()
    assert server.training.cancelled == [run.name]


def test_a_drop_while_reading_the_result_is_no_failure_of_the_job(server: FakeServer, client: headstart.Client) -> None:
    server.training.read_drops = 2
    assert client.watch("j1").result().model == "models/m1"


def test_a_paused_job_ends_the_following(server: FakeServer, client: headstart.Client) -> None:
    server.training.script = script_of(end=TrainJob.STATE_PAUSED)
    run = client.train(SPEC, ROWS)
    assert len(list(run)) == 2
    assert run.job().state == TrainJob.STATE_PAUSED


def test_a_successful_job_is_its_result(client: headstart.Client) -> None:
    assert client.train(SPEC, ROWS).result().model == "models/m1"


async def test_leaving_an_async_run_stops_following_only(
    server: FakeServer, async_client: headstart.AsyncClient
) -> None:
    run = await async_client.train(SPEC, ROWS)
    await run.close()
    assert server.training.cancelled == []
    assert [event.sequence async for event in async_client.watch(run.name, run.last_sequence)] == [1, 2, 3, 4, 5]
