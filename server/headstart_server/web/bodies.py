"""Bodies of HTTP requests: read as far as there is room for them, of all requests together."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request

from headstart_server.core.errors import DeadlineExceededError, OverloadedError, TooLargeError, invalid

JSON = "application/json"
_SILENT_SECONDS = 60.0
"""For how long a body may bring nothing: what is held for it would be held without end."""


class Bodies:
    """What requests hold of memory while they are answered. Used on one event loop."""

    def __init__(self, most_each: int, most: int) -> None:
        self._most_each, self._most = most_each, max(most_each, most)
        self._held = 0

    @contextmanager
    def one(self) -> Iterator["Body"]:
        """A body that is forgotten when it is left."""
        body = Body(self)
        try:
            yield body
        finally:
            self._held -= body.size

    def take(self, body: "Body", size: int) -> None:
        """Counts some bytes; raises TooLargeError, or OverloadedError where all bodies together are too large."""
        if body.size + size > self._most_each:
            raise TooLargeError(
                f"the request body is larger than {self._most_each:,} bytes; use gRPC, or send fewer rows"
            )
        if self._held + size > self._most:
            raise OverloadedError(f"request bodies hold {self._held:,} bytes already; try again later")
        body.size += size
        self._held += size


class Body:
    """One request's."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.size = 0

    async def read(self, request: Request) -> bytes:
        """The body of a request that changes something, or asks for work.

        A page of another origin can send such a request only as a form does, which this refuses: any other content type
        makes a browser ask first, and it is told nothing (https://fetch.spec.whatwg.org/#http-cors-protocol).
        """
        given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if given != JSON:
            raise invalid("Content-Type", f"{given!r} is not understood; send {JSON}, also without a body")
        parts, coming = list[bytes](), request.stream()
        while True:
            try:
                async with asyncio.timeout(_SILENT_SECONDS):
                    part = await anext(coming, None)
            except TimeoutError:
                message = f"no more of the request body has come for {_SILENT_SECONDS:g} seconds; send it again"
                raise DeadlineExceededError(message) from None
            if part is None:
                return b"".join(parts)
            self._bodies.take(self, len(part))
            parts.append(part)
