"""Decide whether a failed call is a dropped connection, how long to wait, and when to give up."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc

from headstart.errors import HeadstartError
from headstart.wire.steps import Step, sleep

S = TypeVar("S")
R = TypeVar("R")

ALWAYS_DROPPED = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED, grpc.StatusCode.CANCELLED})
SOMETIMES_DROPPED = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN})
BUSY = frozenset({"OVERLOADED", "QUOTA_EXCEEDED"})
SIGNS_OF_A_DROP = ("rst_stream", "stream removed", "connection", "socket", "goaway", "eof", "transport")


@dataclass(frozen=True)
class RetryPolicy:
    """How a dropped stream is picked up again. Times are in seconds.

    Attributes:
        give_up_after: raise when nothing new has arrived for this long since the first failure.
        connect_timeout: the same for a server that this call has never reached.
        restart_timeout: how long a call that may be sent twice waits for a server that this client has reached before
            and that is away, as one is that restarts; at most `give_up_after`.
        initial_delay: first wait; doubles with each failure, up to `longest_delay`, less a random part of up to half.
        longest_delay: longest wait.
        steady: a stream that held this long counts as arrived news: the connection works and the job was silent.
        on_retry: called with the error and the wait before each retry.
    """

    give_up_after: float = 300.0
    connect_timeout: float = 30.0
    restart_timeout: float = 120.0
    initial_delay: float = 0.2
    longest_delay: float = 15.0
    steady: float = 30.0
    on_retry: Callable[[HeadstartError, float], None] | None = None
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random


class Patience:
    """How much longer one operation goes on after failures."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._reached = False
        self._failures = 0
        self._failing_since: float | None = None
        self._opened = policy.clock()

    @property
    def failed(self) -> bool:
        """Whether an attempt has failed since something new arrived."""
        return self._failing_since is not None

    def opened(self) -> None:
        """Note that an attempt begins."""
        self._opened = self._policy.clock()

    def reached(self) -> None:
        """Note that the server answered, without anything new in it."""
        self._reached = True

    def progress(self) -> None:
        """Note that something new arrived: failures are forgotten."""
        self._reached = True
        self._failures = 0
        self._failing_since = None

    def delay_after(self, error: HeadstartError, *, busy_too: bool = False) -> float:
        """Return the seconds to wait before trying again, or raise the error where trying again cannot help.

        A server that is busy is waited for where `busy_too` says so.
        """
        busy = busy_too and is_busy(error)
        if not busy and not is_dropped(error):
            raise error
        policy, now = self._policy, self._policy.clock()
        if now - self._opened >= policy.steady:
            self.progress()
        # Reasons come from servers alone, never from the transport.
        self._reached = self._reached or bool(error.reason)
        if self._failing_since is None:
            self._failing_since = now
        # The exponent is bounded, for 2.0**1024 raises OverflowError.
        # A busy server says itself when to come back, and a longer wait would let others in before.
        failures = 0 if busy else min(self._failures, 30)
        longest = min(policy.initial_delay * 2.0**failures, policy.longest_delay)
        delay = max(longest * (1 - policy.jitter() / 2), error.retry_after or 0.0)
        self._failures += 1
        limit = policy.give_up_after if self._reached else min(policy.connect_timeout, policy.give_up_after)
        left = self._failing_since + limit - now
        if left <= 0 or (error.retry_after or 0.0) > left:
            raise error
        delay = min(delay, left)
        if policy.on_retry is not None:
            policy.on_retry(error, delay)
        return delay


def persistently(
    attempt: Callable[[Patience], Generator[S, Any, R]], policy: RetryPolicy
) -> Generator[S | Step, Any, R]:
    """Run a program that may be run again until it gets through; it tells its patience of what arrives."""
    patience = Patience(policy)
    while True:
        try:
            patience.opened()
            return (yield from attempt(patience))
        except HeadstartError as error:
            delay = patience.delay_after(error)
        yield from sleep(delay)


def is_busy(error: HeadstartError) -> bool:
    """Tell a refusal that time heals from one that the request itself deserves, such as being too large."""
    return error.code is grpc.StatusCode.RESOURCE_EXHAUSTED and error.reason in BUSY


def is_dropped(error: HeadstartError) -> bool:
    """Tell a broken connection from an answer. Answers of a Headstart server carry a reason, broken ones none."""
    if error.code is grpc.StatusCode.CANCELLED and error.reason:  # somebody has cancelled what the call was about
        return False
    if error.code in ALWAYS_DROPPED:
        return True
    return (
        error.code in SOMETIMES_DROPPED
        and not error.reason
        and any(sign in error.message.lower() for sign in SIGNS_OF_A_DROP)
    )
