"""Send batches on one stream, and match each answer with its batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from google.protobuf.message import Message

from headstart.errors import HeadstartError, Internal, InvalidArgument
from headstart.v1.table_pb2 import Table
from headstart.values.table import row_count
from headstart.wire.methods import A, Method
from headstart.wire.steps import Emit, Flow, open_stream, read

Q = TypeVar("Q", bound=Message)
ERRORS = ("raise", "return")
"""What becomes of a batch that the server refuses: its error is raised, or handed on in its place."""


class Answered(Protocol):
    """What a stream says of one batch."""

    @property
    def error(self) -> HeadstartError | None:
        """Why there is no answer."""

    @property
    def rows_read(self) -> int:
        """How many rows the server has read, those included that it left out."""


T = TypeVar("T", bound=Answered)


class Batches(Generic[Q]):
    """The requests of one stream.

    gRPC takes them on a thread of its own, where an exception would be logged and turned into a status. So an
    exception of the caller's iterable ends the requests and is kept; the flow raises it once the batches before it are
    answered.
    """

    def __init__(self, batches: Iterable[Any], request: Callable[[Any], tuple[Q, Table]], errors: str) -> None:
        if errors not in ERRORS:
            raise InvalidArgument(f"errors {errors!r} is unknown; use one of {', '.join(ERRORS)}")
        self._batches, self._request, self._raises = batches, request, errors == "raise"
        # Filled on gRPC's thread and emptied on the caller's, which a deque allows without a lock.
        self._unanswered: deque[int | None] = deque()
        self.error: Exception | None = None

    def requests(self) -> Iterator[Q]:
        """Yield the requests."""
        try:
            for rows in self._batches:
                request, table = self._request(rows)
                self._unanswered.append(row_count(table))
                yield request
        except Exception as error:  # noqa: BLE001  (raised again by `check`)
            self.error = error

    def answered(self, answer: Answered) -> None:
        """Match an answer with its request.

        Raises:
            HeadstartError: there is none, and errors are to be raised.
            Internal: they differ in their number of rows, so that rows and answers could be confused.
        """
        expected = self._unanswered.popleft() if self._unanswered else 0
        if answer.error is not None:
            if self._raises:
                raise answer.error
        elif expected is not None and answer.rows_read != expected:
            raise Internal(f"the server answered {answer.rows_read} rows for {expected}")

    def check(self) -> None:
        """Raise the caller's own exception, or name the batches that have no answer."""
        if self.error is not None:
            raise self.error
        if self._unanswered:
            raise Internal(f"the server ended the stream with {len(self._unanswered)} batches unanswered")


def answers(method: Method[Q, A], batches: Batches[Q], answer_of: Callable[[A], T]) -> Flow[T]:
    """Emit the answer to each batch, in order."""
    stream = yield from open_stream(method, batches.requests())
    while True:
        try:
            response = yield from read(stream)
        except HeadstartError:
            if batches.error is not None:
                raise batches.error from None
            raise
        if response is None:
            break
        answer = answer_of(response)
        batches.answered(answer)
        yield Emit(answer)
    batches.check()
