"""Drive programs on an event loop, so that the asyncio client shares every operation with the blocking one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from headstart.errors import HeadstartError
from headstart.wire.channel_calls import ChannelCalls
from headstart.wire.client_stream import ClientStream, answer_of
from headstart.wire.connection import Connection
from headstart.wire.rpc_errors import error_from_call
from headstart.wire.steps import Call, Compute, Emit, Flow, Open, Program, Read, Sleep, Step

T = TypeVar("T")
R = TypeVar("R")


def _as_it_is(flow: Flow[Any]) -> Flow[Any]:
    return flow


class AsyncDriver:
    """Runs programs on the running event loop. `timeout` (seconds) bounds calls that answer once.

    `persist` makes flows that repeat what may be repeated; by default they are run as they are.
    """

    def __init__(
        self,
        connection: Connection,
        timeout: float | None = None,
        persist: Callable[[Flow[Any]], Flow[Any]] = _as_it_is,
    ) -> None:
        self._connection = connection
        self._timeout = timeout
        self._persist = persist
        self._opened: dict[Any, tuple[Any, ChannelCalls]] = {}

    def _calls(self, api: Any) -> ChannelCalls:
        """Return the calls of `grpc.aio`, or of `grpc` where requests stream; the first one opens the channel.

        A channel of grpc.aio belongs to the loop that runs when it is opened.
        """
        if api not in self._opened:
            channel = self._connection.open(api)
            self._opened[api] = (channel, ChannelCalls(channel, lambda: self._connection.metadata))
        return self._opened[api][1]

    async def run(self, program: Program[R]) -> R:
        """Run a program to its end and return its result."""
        result: list[R] = []

        def keep() -> Flow[Any]:
            result.append((yield from program))

        async for _ in self.stream(keep()):
            pass
        return result[0]

    async def stream(self, flow: Flow[T]) -> AsyncIterator[T]:
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
                    answer = await self._perform(step, opened)
                except grpc.RpcError as error:
                    failure = error_from_call(error)
        finally:
            flow.close()
            for stream in opened:
                stream.cancel()

    async def _perform(self, step: Step, opened: list[Any]) -> Any:
        match step:
            case Call(method, requests) if method.client_streams:
                return await answer_of(self._calls(grpc).send(method, requests, self._timeout))
            case Call(method, request):
                return await self._calls(grpc.aio).start(method, request, self._timeout)
            case Open(method, requests) if method.client_streams:
                opened.append(ClientStream(self._calls(grpc).start(method, requests)))
                return opened[-1]
            case Open(method, request):
                opened.append(self._calls(grpc.aio).start(method, request))
                return opened[-1]
            case Read(stream):
                answer = await stream.read()
                return answer if isinstance(answer, Message) else None  # at the end it is grpc.aio.EOF
            case Sleep(seconds):
                return await asyncio.sleep(seconds)
            case Compute(function):
                return await asyncio.to_thread(function)

    async def close(self) -> None:
        """Close the channels; open streams end."""
        for api, (channel, _) in self._opened.items():
            await channel.close() if api is grpc.aio else channel.close()
