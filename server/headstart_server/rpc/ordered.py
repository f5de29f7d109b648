"""Streams that answer each request: in order, each answer as soon as it is ready, a few requests read ahead."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")
_READ_AHEAD = 2  # in the queue; beside these one is answered, and one waits for room


async def answered_in_order(
    requests: AsyncIterator[Request], answer: Callable[[Request, bool], Awaitable[Answer]]
) -> AsyncGenerator[Answer, None]:
    """Yields the answer to each request; `answer` is told whether the stream has begun before.

    An error of an answer, or of a request that cannot be read, ends the stream in its place.
    """
    answers: asyncio.Queue[asyncio.Task[Answer] | None] = asyncio.Queue(_READ_AHEAD)
    tasks: set[asyncio.Task[Answer] | asyncio.Task[None]] = set()

    async def started(request: Request, begun: bool) -> Answer:
        return await answer(request, begun)

    async def failed(error: Exception) -> Answer:
        raise error

    async def read() -> None:
        begun = False
        try:
            async for request in requests:
                task = asyncio.create_task(started(request, begun))
                begun = True
                tasks.add(task)
                await answers.put(task)
            await answers.put(None)
        except Exception as error:  # noqa: BLE001 - of a request that cannot be read: it has its place in the order
            failure = asyncio.create_task(failed(error))
            tasks.add(failure)
            await answers.put(failure)

    reader = asyncio.create_task(read())
    try:
        while (task := await answers.get()) is not None:
            yield await task
            tasks.discard(task)
    finally:
        tasks.add(reader)
        for unfinished in tasks:
            unfinished.cancel()
        # waited for: none outlives the call, and no exception is left unread
        await asyncio.gather(*tasks, return_exceptions=True)
