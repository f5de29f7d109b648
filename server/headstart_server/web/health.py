"""Whether the server lives and is ready, and what it measures: for orchestrators and Prometheus."""

from collections.abc import Mapping

import prometheus_client
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from headstart_server.core.executors import Executor


class Health:
    """What `/livez` and `/readyz` say, as the gRPC health service does."""

    def __init__(self) -> None:
        self.ready = False
        """Whether new requests are welcome: from the start of listening to the beginning of the stop."""
        self.missing: list[str] = []
        """What the server cannot use for now, and why."""
        self.services: Mapping[str, bool] = {}
        """Whether each service has all that it needs, by its name without a package; empty: nobody has looked yet."""

    async def live(self, _: Request) -> Response:
        """200 as long as the event loop answers."""
        return PlainTextResponse("live\n")

    async def readiness(self, request: Request) -> Response:
        """200 or 503: of the whole server, or of the `service` that the query names, as gRPC's health has it."""
        if not self.ready:
            return PlainTextResponse("not ready\n", 503)
        asked = request.query_params.getlist("service")
        if asked and self.services:
            if unknown := [name for name in asked if name not in self.services]:
                message = f"service: {unknown[0][:80]!r} is none of {', '.join(sorted(self.services))}\n"
                return PlainTextResponse(message, 400)
            if all(self.services[name] for name in asked):
                return PlainTextResponse("ready\n")
        if self.missing:
            return PlainTextResponse("".join(f"not ready: {wrong}\n" for wrong in self.missing), 503)
        return PlainTextResponse("ready\n")


class Exposition:
    """The metrics, in the format that the scraper asks for."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads

    async def answer(self, request: Request) -> Response:
        """Collected on a thread: some metrics are read from files."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        body = await self._threads.run(encode, prometheus_client.REGISTRY)
        return Response(body, headers={"Content-Type": content_type})
