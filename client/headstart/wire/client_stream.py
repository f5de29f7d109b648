"""Stream requests from asyncio over the blocking API, because grpc.aio loses the status of a call that ends early.

When a server answers or refuses before the client has sent everything (a data set too large, a bad batch), a write of
grpc.aio that is under way fails and puts `INTERNAL: Internal error from Core` in the place of the server's status. The
blocking API keeps it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class ClientStream:
    """A stream of answers of the blocking API, read on a thread of its own."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="headstart-stream")

    async def read(self) -> Any:
        """Return the next answer, None at the end."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, next, self._call, None)

    def cancel(self) -> None:
        """End the call, whatever it waits for."""
        self._call.cancel()
        self._thread.shutdown(wait=False)


async def answer_of(call: Any) -> Any:
    """Wait for the one answer of a call of the blocking API; cancelling the wait cancels the call."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def tell(_: Any) -> None:
        # gRPC calls this on a thread of its own, maybe after the loop has ended.
        if not loop.is_closed():
            loop.call_soon_threadsafe(done.set)

    call.add_done_callback(tell)
    try:
        await done.wait()
    finally:
        # Ends a call that nobody waits for any more; one that is done it leaves alone.
        call.cancel()
    return call.result()


def blocking(items: AsyncIterable[T]) -> Iterator[T]:
    """Return an iterator for another thread over items that the running loop makes."""
    loop = asyncio.get_running_loop()
    source = aiter(items)
    end = object()

    def pull() -> Iterator[T]:
        while not loop.is_closed():
            item: Any = asyncio.run_coroutine_threadsafe(_next(source, end), loop).result()
            if item is end:
                return
            yield item

    return pull()


async def _next(source: AsyncIterator[Any], end: object) -> Any:
    return await anext(source, end)
