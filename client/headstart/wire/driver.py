"""Drive programs over a blocking channel, so that the sync client is nothing but a list of operations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import grpc

from headstart.errors import HeadstartError
from headstart.wire.channel_calls import ChannelCalls
from headstart.wire.connection import Connection
from headstart.wire.interrupts import interrupts_kept
from headstart.wire.rpc_errors import error_from_call
from headstart.wire.steps import Call, Compute, Emit, Flow, Open, Program, Read, Sleep, Step

T = TypeVar("T")
R = TypeVar("R")


def _as_it_is(flow: Flow[Any]) -> Flow[Any]:
    return flow


class Driver:
    """Runs programs on the calling thread. `timeout` (seconds) bounds calls that answer once.

    `persist` makes flows that repeat what may be repeated; by default they are run as they are.
    """

    def __init__(
        self,
        connection: Connection,
        timeout: float | None = None,
        persist: Callable[[Flow[Any]], Flow[Any]] = _as_it_is,
    ) -> None:
        self._channel = connection.open(grpc)
        self._calls = ChannelCalls(self._channel, lambda: connection.metadata)
        self._timeout = timeout
        self._persist = persist

    def run(self, program: Program[R]) -> R:
        """Run a program to its end and return its result."""
        result: list[R] = []

        def keep() -> Flow[Any]:
            result.append((yield from program))

        for _ in self.stream(keep()):
            pass
        return result[0]

    def stream(self, flow: Flow[T]) -> Iterator[T]:
        """Yield what a flow emits. Closing the iterator cancels its open calls."""
        flow = self._persist(flow)
        opened: list[Any] = []
        answer: Any = None
        failure: HeadstartError | None = None
        try:
            while True:
                try:
                    step = flow.send(answer) if failure is None else flow.throw(failure)
                except StopIteration:
                    return
                answer = failure = None
                if isinstance(step, Emit):
                    yield step.value
                    continue
                try:
                    with interrupts_kept():
                        answer = self._perform(step, opened)
                except grpc.RpcError as error:
                    failure = error_from_call(error)
        finally:
            flow.close()
            for stream in opened:
                stream.cancel()

    def _perform(self, step: Step, opened: list[Any]) -> Any:
        match step:
            case Call(method, request):
                return self._calls.start(method, request, self._timeout)
            case Open(method, request):
                opened.append(self._calls.start(method, request))
                return opened[-1]
            case Read(stream):
                return next(stream, None)
            case Sleep(seconds):
                return time.sleep(seconds)
            case Compute(function):
                return function()

    def close(self) -> None:
        """Close the channel; open streams end."""
        self._channel.close()
