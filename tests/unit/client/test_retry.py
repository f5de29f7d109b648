"""Waiting grows, is spread, heeds the server, and ends."""

from __future__ import annotations

import grpc
import pytest
from headstart import HeadstartError, InvalidArgument, RetryPolicy, Unavailable
from headstart.programs.retry import Patience, is_dropped


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def policy(clock: Clock, jitter: float = 0.0) -> RetryPolicy:
    return RetryPolicy(
        give_up_after=100, connect_timeout=10, initial_delay=1, longest_delay=8, clock=clock, jitter=lambda: jitter
    )


def test_waits_double_up_to_the_longest_and_start_again_after_progress() -> None:
    patience = Patience(policy(Clock()))
    patience.progress()
    assert [patience.delay_after(Unavailable("")) for _ in range(5)] == [1, 2, 4, 8, 8]
    patience.progress()
    assert patience.delay_after(Unavailable("")) == 1


def test_jitter_takes_off_up_to_half() -> None:
    assert Patience(policy(Clock(), jitter=1.0)).delay_after(Unavailable("")) == 0.5


def test_the_server_may_ask_for_a_longer_wait() -> None:
    assert Patience(policy(Clock())).delay_after(Unavailable("", retry_after=5)) == 5


def test_a_server_that_was_never_reached_is_given_up_sooner() -> None:
    clock = Clock()
    patience = Patience(policy(clock))
    patience.delay_after(Unavailable(""))
    clock.now += 10
    with pytest.raises(Unavailable):
        patience.delay_after(Unavailable(""))


def test_time_without_failures_does_not_count_as_failing() -> None:
    clock = Clock()
    patience = Patience(policy(clock))
    patience.progress()
    clock.now += 10_000
    assert patience.delay_after(Unavailable("")) == 1


def test_silent_but_steady_streams_are_never_given_up() -> None:
    clock = Clock()
    patience = Patience(policy(clock))
    for _ in range(50):
        patience.opened()
        clock.now += 60
        assert patience.delay_after(Unavailable("")) == 1


def test_failing_without_progress_ends_after_the_limit() -> None:
    clock = Clock()
    patience = Patience(policy(clock))
    patience.reached()
    waited = 0.0
    with pytest.raises(Unavailable):
        while True:
            patience.opened()
            delay = patience.delay_after(Unavailable(""))
            clock.now += delay
            waited += delay
    assert 90 < waited <= 100


def test_each_retry_is_told() -> None:
    told: list[float] = []
    Patience(RetryPolicy(on_retry=lambda error, delay: told.append(delay))).delay_after(Unavailable(""))
    assert len(told) == 1


def test_errors_that_are_answers_are_raised_at_once() -> None:
    with pytest.raises(InvalidArgument):
        Patience(RetryPolicy()).delay_after(InvalidArgument(""))


@pytest.mark.parametrize(
    ("message", "reason", "dropped"),
    [
        ("Received RST_STREAM with error code 2", "", True),
        ("Connection reset by peer", "", True),
        ("connection pool exhausted", "INTERNAL", False),
        ("division by zero", "", False),
    ],
)
def test_internal_errors_are_drops_only_where_the_transport_made_them(message: str, reason: str, dropped: bool) -> None:
    assert is_dropped(HeadstartError(message, code=grpc.StatusCode.INTERNAL, reason=reason)) is dropped
