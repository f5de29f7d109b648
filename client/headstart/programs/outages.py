"""Ride out a server that stops and comes back, or is busy: calls that may be sent twice are sent again."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any, TypeVar

import grpc

from headstart.errors import HeadstartError
from headstart.programs.retry import Patience, RetryPolicy, is_busy
from headstart.wire.steps import Call, Emit, Flow, Read, Sleep, Step

T = TypeVar("T")
_OUTAGES = frozenset({"", "STOPPING"})
"""Reasons of errors that say that the server itself is away, or about to be."""


class Outages:
    """What one client knows of its server. A server that it has never reached is not waited for.

    `timeout` (seconds) is what a caller gives a call that answers once; repeated, it is not waited for any longer.
    """

    def __init__(self, policy: RetryPolicy, timeout: float | None = None) -> None:
        longest = policy.give_up_after if timeout is None else min(timeout, policy.give_up_after)
        # The Patience of a repeated call has reached nobody: its bound is connect_timeout, or give_up_after once
        # an error carries a reason.
        self._policy = replace(policy, give_up_after=longest, connect_timeout=policy.restart_timeout)
        self._reached = False

    def ridden_out(self, flow: Flow[T]) -> Flow[T]:
        """Do as a flow does, but repeat calls that read or compute while the server is away or busy, within a bound.

        The bound is the policy's `restart_timeout`, or `give_up_after` where the server says that it is stopping or
        busy; a `timeout` shortens both.
        """
        answer: Any = None
        failure: HeadstartError | None = None
        try:
            while True:
                try:
                    step = flow.send(answer) if failure is None else flow.throw(failure)
                except StopIteration:
                    return
                try:
                    answer, failure = (yield from self._performed(step)), None
                except HeadstartError as error:
                    failure = error
        finally:
            flow.close()

    def _performed(self, step: Step | Emit[T]) -> Generator[Step | Emit[T], Any, Any]:
        patience = Patience(self._policy)
        while True:
            try:
                patience.opened()
                answer = yield step
            except HeadstartError as error:
                away = self._reached and _is_outage(error)
                if not (_may_be_sent_again(step) and (away or is_busy(error))):
                    raise
                delay = patience.delay_after(error, busy_too=True)
            else:
                # An opened stream proves nothing until something is read from it.
                self._reached = self._reached or isinstance(step, Call | Read)
                return answer
            yield Sleep(delay)


def _may_be_sent_again(step: Step | Emit[Any]) -> bool:
    return isinstance(step, Call) and step.method.repeatable


def _is_outage(error: HeadstartError) -> bool:
    """Tell an outage from an answer: a server that is there gives the reason why something else is unavailable."""
    return error.code is grpc.StatusCode.UNAVAILABLE and error.reason in _OUTAGES
