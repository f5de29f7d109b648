"""A server that stops and comes back is ridden out by calls that change nothing; others tell of it."""

from __future__ import annotations

from typing import Any

import pytest
from headstart import InvalidArgument, ResourceExhausted, RetryPolicy, Unavailable
from headstart.programs.outages import Outages
from headstart.v1.model_pb2 import GetModelRequest
from headstart.wire.methods import DELETE_MODEL, GET_MODEL, Method
from headstart.wire.steps import Call, Emit, Flow, Sleep, Step


class Clock:
    """Time that passes while somebody sleeps."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def _run(
    clock: Clock,
    answers: list[Any],
    method: Method[Any, Any] = GET_MODEL,
    calls: int = 1,
    timeout: float | None = None,
) -> list[Any]:
    """What a flow of some calls emits, each of them answered from the list."""

    def flow() -> Flow[Any]:
        for _ in range(calls):
            yield Emit((yield Call(method, GetModelRequest())))

    policy = RetryPolicy(
        give_up_after=100, connect_timeout=1, restart_timeout=10, initial_delay=1, clock=clock, jitter=lambda: 0.0
    )
    running = Outages(policy, timeout).ridden_out(flow())
    found: list[Any] = []
    step = next(running, None)
    while step is not None:
        step = _next(running, step, found, answers, clock)
    return found


def _next(running: Flow[Any], step: Step | Emit[Any], found: list[Any], answers: list[Any], clock: Clock) -> Any:
    answer: Any = None
    if isinstance(step, Emit):
        found.append(step.value)
    elif isinstance(step, Sleep):
        clock.now += step.seconds
    else:
        answer = answers.pop(0)
    try:
        return running.throw(answer) if isinstance(answer, Exception) else running.send(answer)
    except StopIteration:
        return None


def test_a_call_that_changes_nothing_is_sent_until_the_server_is_back() -> None:
    clock = Clock()
    assert _run(clock, [1, Unavailable(""), Unavailable("", retry_after=3), 2], calls=2) == [1, 2]
    assert clock.now == 1 + 3


def test_a_server_that_stays_away_is_given_up() -> None:
    clock = Clock()
    with pytest.raises(Unavailable):
        _run(clock, [1, *[Unavailable("")] * 99], calls=2)
    assert 5 < clock.now <= 10


@pytest.mark.parametrize("reason", ["", "STOPPING"])
def test_nobody_waits_longer_than_the_timeout_of_a_call(reason: str) -> None:
    clock = Clock()
    with pytest.raises(Unavailable):
        _run(clock, [1, *[Unavailable("", reason=reason)] * 99], calls=2, timeout=4)
    assert 1 < clock.now <= 4


def test_a_server_that_was_never_reached_is_not_waited_for() -> None:
    clock = Clock()
    with pytest.raises(Unavailable):
        _run(clock, [Unavailable(""), 1])
    assert clock.now == 0


def test_a_server_that_says_that_it_stops_is_ridden_out() -> None:
    assert _run(Clock(), [1, Unavailable("", reason="STOPPING"), 2], calls=2) == [1, 2]


@pytest.mark.parametrize(
    ("method", "error"),
    [
        (DELETE_MODEL, Unavailable("")),
        (GET_MODEL, InvalidArgument("")),
        (GET_MODEL, Unavailable("", reason="STORAGE_UNAVAILABLE")),
    ],
)
def test_what_changes_something_or_was_answered_is_sent_once(method: Method[Any, Any], error: Exception) -> None:
    with pytest.raises(type(error)):
        _run(Clock(), [1, error, 2], method, calls=2)


@pytest.mark.parametrize("reason", ["OVERLOADED", "QUOTA_EXCEEDED"])
def test_a_busy_server_is_asked_again_when_it_says(reason: str) -> None:
    clock, busy = Clock(), ResourceExhausted("", reason=reason, retry_after=2)
    assert _run(clock, [busy, busy, 1]) == [1]
    assert clock.now == 4


@pytest.mark.parametrize(
    ("error", "method"),
    [
        (ResourceExhausted("", reason="TOO_LARGE"), GET_MODEL),
        (ResourceExhausted("", reason="OVERLOADED", retry_after=2), DELETE_MODEL),
    ],
)
def test_what_is_too_large_or_changes_something_is_not_sent_again(
    error: ResourceExhausted, method: Method[Any, Any]
) -> None:
    with pytest.raises(ResourceExhausted):
        _run(Clock(), [error], method)


def test_a_server_that_stays_busy_is_given_up() -> None:
    clock = Clock()
    with pytest.raises(ResourceExhausted):
        _run(clock, [ResourceExhausted("", reason="OVERLOADED", retry_after=2)] * 99)
    assert 90 <= clock.now <= 100
