"""Streams of requests that are answered one by one and in order, each with a response or with why there is none."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import structlog
from google.rpc.status_pb2 import Status

from headstart_server import metrics
from headstart_server.core.errors import (
    CancelledError,
    DeadlineExceededError,
    HeadstartError,
    KeysUnavailableError,
    OverloadedError,
    PermissionDeniedError,
    StoppingError,
    UnauthenticatedError,
    invalid,
)
from headstart_server.rpc.errors import status_of

Q = TypeVar("Q")
A = TypeVar("A")
_log = structlog.get_logger()
_READ_AHEAD = 2  # in the queue; beside these one is answered, and one waits for room
_LONGEST_ID = 128
_OF_ALL = (
    UnauthenticatedError,
    PermissionDeniedError,
    KeysUnavailableError,
    StoppingError,
    CancelledError,
    DeadlineExceededError,
)
"""Errors that every other request of the stream would have, too: they end it."""


async def in_order(
    method: str, requests: AsyncIterator[Q], answer: Callable[[Q, bool], Awaitable[A]], failed: Callable[[Q, Status], A]
) -> AsyncGenerator[A, None]:
    """Yields the answer to each request as soon as it and those before it are ready; a few requests are read ahead.

    Args:
        method: The RPC's name, for metrics.
        requests: Of one stream.
        answer: Answers one, and is told whether the stream has begun. A stream may be refused at its beginning; once it
            has begun, its requests wait for their turn.
        failed: The answer to a request that has none, with what went wrong.

    Raises:
        HeadstartError: The stream is refused, or ends for a reason that concerns all of its requests.
    """
    answers: asyncio.Queue[asyncio.Task[A] | None] = asyncio.Queue(_READ_AHEAD)
    tasks: set[asyncio.Task[Any]] = set()
    begin = partial(_answered, method, answer, failed)
    reader = asyncio.create_task(_read(requests, begin, answers, tasks))
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


async def _read(
    requests: AsyncIterator[Q],
    begin: Callable[[Q, bool], Coroutine[Any, Any, A]],
    answers: "asyncio.Queue[asyncio.Task[A] | None]",
    tasks: set[asyncio.Task[Any]],
) -> None:
    """Begins the answer to each request, as far ahead as the queue of answers has room."""
    begun = False
    try:
        async for request in requests:
            task = asyncio.create_task(begin(request, begun))
            begun = True
            tasks.add(task)
            await answers.put(task)
        await answers.put(None)
    except Exception as error:  # noqa: BLE001 - of a request that cannot be read: it has its place in the order
        failure: asyncio.Task[A] = asyncio.create_task(_raised(error))
        tasks.add(failure)
        await answers.put(failure)


async def _answered(
    method: str,
    answer: Callable[[Q, bool], Awaitable[A]],
    failed: Callable[[Q, Status], A],
    request: Q,
    begun: bool,
) -> A:
    try:
        return await answer(request, begun)
    except HeadstartError as error:
        if isinstance(error, _OF_ALL) or (isinstance(error, OverloadedError) and not begun):
            raise
        code, message, status = status_of(error)
        metrics.STREAM_FAILURES.labels(method, code.name).inc()
        _log.debug("a request of a stream failed", code=code.name, error=message)
        return failed(request, status)


async def _raised(error: Exception) -> Any:
    raise error


def known_id(identifier: str) -> str:
    """What an answer says of its request; raises InvalidInputError for one that is too long to be returned."""
    if len(identifier) > _LONGEST_ID:
        raise invalid("id", f"holds {len(identifier)} characters; use at most {_LONGEST_ID}")
    return identifier


def returned_id(identifier: str) -> str:
    """The id of a request that has failed: of one that is too long its beginning."""
    return identifier[:_LONGEST_ID]
