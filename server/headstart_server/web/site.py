"""The application behind the HTTP port: routes, what guards them, and the headers that all answers carry."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount
from starlette.routing import Route as Path_
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headstart_server.core.errors import HeadstartError, NotFoundError
from headstart_server.core.executors import Executors
from headstart_server.rpc import contract
from headstart_server.rpc.gate import Gate
from headstart_server.web.errors import domain_error, unexpected_error
from headstart_server.web.events import EventStream
from headstart_server.web.gate import guarded
from headstart_server.web.health import Exposition, Health
from headstart_server.web.routes import ROOT, ROUTES
from headstart_server.web.transcoding import Bounds, endpoint

_log = structlog.get_logger()
_STATIC = Path(__file__).parent / "static"
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HEADERS = {
    # the page is this server's alone: no script, style, picture or request of or to anywhere else
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


_ELSEWHERE = PlainTextResponse("this server answers to localhost alone; start it with --host for others\n", 421)


def site(
    servicers: Mapping[str, Any],
    health: Health,
    executors: Executors,
    gate: Gate,
    bounds: Bounds,
    *,
    only_local: bool,
) -> ASGIApp:
    """The application.

    Args:
        servicers: By service name, the same as gRPC's.
        health: What `/livez` and `/readyz` say.
        executors: Threads.
        gate: Who is let in to the API and the metrics; the page itself and health are everybody's.
        bounds: What requests may cost.
        only_local: Whether requests must name this machine as their host.
    """
    calls = [
        Path_(f"{ROOT}{route.path}", endpoint(route, servicers, executors.rows, bounds, gate), methods=[route.verb])
        for route in ROUTES
    ]
    routes = [
        Path_("/livez", health.live),
        Path_("/readyz", health.readiness),
        Path_(contract.PATH, _contract),
        Path_("/metrics", guarded(gate, Exposition(executors.files).answer)),
        Path_(f"{ROOT}/trainJobs/{{id}}/events", EventStream(servicers["TrainingService"], gate).answer),
        *calls,
        Path_(f"{ROOT}/{{rest:path}}", _unknown, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        Mount("/static", StaticFiles(directory=_STATIC)),
        Path_("/", _page),
    ]
    guard = [Middleware(_LocalHosts)] if only_local else []
    handlers = {HeadstartError: domain_error, Exception: unexpected_error}
    return _Outermost(Starlette(routes=routes, middleware=guard, exception_handlers=handlers))


async def _page(_: Request) -> Response:
    return FileResponse(_STATIC / "index.html", headers={"Cache-Control": "no-cache"})


async def _contract(_: Request) -> Response:
    """Public: who may not call the services may know what they are."""
    headers = {"Content-Disposition": f'attachment; filename="{contract.PACKAGE}.binpb"'}
    return Response(contract.descriptor_set(), media_type="application/octet-stream", headers=headers)


async def _unknown(request: Request) -> Response:
    raise NotFoundError(f"{request.method} {request.url.path} is no method of this API; docs/http.md lists them")


class _Outermost:
    """Adds what every answer carries, and ends those that fail once they have begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kept, begun = "no-cache" if scope["path"].startswith("/static/") else "no-store", False

        async def add(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = begun or message["status"] < 400
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Cache-Control", kept)
            await send(message)

        try:
            await self._app(scope, receive, add)
        except Exception as error:  # raised once more by Starlette, after `unexpected_error` has answered and logged it
            if begun:
                _log.error("http response was cut short", path=scope["path"], exc_info=error)
                raise  # so that the connection is closed: the client sees that more would have come


class _LocalHosts:
    """Refuses requests that name another host.

    A page from elsewhere whose name is made to point at this machine would be of the same origin as ours, and could ask
    a server that listens on loopback for anything (DNS rebinding).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _is_local(Request(scope).headers.get("host", "")):
            refusal = PlainTextResponse(
                "this server answers to localhost alone; start it with --host for others\n", 421
            )
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_local(host: str) -> bool:
    name, _, port = host.rpartition(":")
    return (name if name and port.isdigit() else host).lower() in _LOCAL_NAMES
