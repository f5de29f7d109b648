"""Bodies of HTTP requests: read as far as there is room for them, of all requests together."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request

from headstart_server.core.errors import OverloadedError, TooLargeError, invalid

JSON = "application/json"


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
        parts = []
        async for part in request.stream():
            self._bodies.take(self, len(part))
            parts.append(part)
        return b"".join(parts)
