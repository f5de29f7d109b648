"""Streams of requests that are answered one by one and in order, each with a response or with why there is none."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

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
from headstart_server.rpc.ordered import answered_in_order

Q = TypeVar("Q")
A = TypeVar("A")
_log = structlog.get_logger()
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


def in_order(
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
    return answered_in_order(requests, partial(_answered, method, answer, failed))


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


def known_id(identifier: str) -> str:
    """What an answer says of its request; raises InvalidInputError for one that is too long to be returned."""
    if len(identifier) > _LONGEST_ID:
        raise invalid("id", f"holds {len(identifier)} characters; use at most {_LONGEST_ID}")
    return identifier


def returned_id(identifier: str) -> str:
    """The id of a request that has failed: of one that is too long its beginning."""
    return identifier[:_LONGEST_ID]
