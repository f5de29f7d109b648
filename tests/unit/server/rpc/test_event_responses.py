"""How the events of a job are shared out to responses."""

from __future__ import annotations

import pytest
from headstart.v1 import training_pb2 as pb
from headstart_server.core.errors import InvalidInputError
from headstart_server.rpc.event_responses import EventResponses, max_events


def events(count: int, first: int = 1, characters: int = 4) -> list[pb.TrainJobEvent]:
    return [
        pb.TrainJobEvent(job="trainJobs/j", sequence=number, warning=pb.JobWarning(message="x" * characters))
        for number in range(first, first + count)
    ]


def numbers(response: pb.WatchTrainJobResponse) -> list[int]:
    return [event.sequence for event in (response.event, *response.more_events)]


@pytest.mark.parametrize(
    ("most", "expected"), [(1, [[1], [2], [3], [4], [5]]), (2, [[1, 2], [3, 4], [5]]), (5, [[1, 2, 3, 4, 5]])]
)
def test_each_event_is_told_once_and_in_order(most: int, expected: list[list[int]]) -> None:
    assert [numbers(each) for each in EventResponses().of(events(5), most)] == expected


def test_all_who_watch_get_the_same_messages() -> None:
    responses, told = EventResponses(), events(3)
    first, second = (list(responses.of(told, 2)) for _ in range(2))
    assert all(one is other for one, other in zip(first, second, strict=True))
    assert [numbers(each) for each in responses.of(told, 3)] == [[1, 2, 3]]


def test_a_heartbeat_is_not_taken_for_the_event_of_its_number() -> None:
    responses, told = EventResponses(), events(1)
    heartbeat = pb.TrainJobEvent(job="trainJobs/j", sequence=1, heartbeat=pb.Heartbeat())
    for event in (told[0], heartbeat, told[0]):
        assert [each.event for each in responses.of([event], 1)] == [event]


def test_a_response_stays_below_what_clients_accept() -> None:
    told = events(9, characters=300_000)
    found = list(EventResponses().of(told, 1_000))
    assert [number for each in found for number in numbers(each)] == list(range(1, 10))
    assert 1 < len(found) < 9
    assert all(each.ByteSize() < 4 << 20 for each in found)


def test_an_event_larger_than_that_comes_alone() -> None:
    assert [numbers(each) for each in EventResponses().of(events(2, characters=2 << 20), 10)] == [[1], [2]]


def test_the_number_of_events_has_bounds() -> None:
    assert [max_events(given) for given in (0, 1, 1_000)] == [1, 1, 1_000]
    for given in (-1, 1_001):
        with pytest.raises(InvalidInputError, match="max_events"):
            max_events(given)
