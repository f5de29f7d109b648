"""The HTTP server, on the event loop of the gRPC server, with its TLS files."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from headstart_server.rpc.certificates import Certificates
from headstart_server.rpc.listening import require_free_port
from headstart_server.web.gate import CERTIFICATE

_MOST_CONNECTIONS = 4_000
"""Open event streams included; more are answered 503."""
_HEAD_SECONDS = 60.0
"""For which the head of a request may take to come: a connection without one is held for nothing."""


class HttpServer:
    """Serves an application on a port; 0 takes a free one."""

    def __init__(self, app: ASGIApp, host: str, port: int, certificates: Certificates | None = None) -> None:
        config = uvicorn.Config(
            app,
            loop="none",
            http=_Protocol,
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="critical",  # what the application raises is logged by itself, in the server's own format
            access_log=False,
            limit_concurrency=_MOST_CONNECTIONS,
            server_header=False,
        )
        config.load()
        if certificates is not None:
            config.ssl = _Context(certificates)
        self._server = _Uvicorn(config)
        self._host, self._wanted = host, port
        self._socket: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Where it listens, once it is bound."""
        assert self._socket is not None
        port: int = self._socket.getsockname()[1]
        return port

    def bind(self) -> None:
        """Takes the port; raises FailedPreconditionError where nobody could listen."""
        require_free_port(self._host, self._wanted, "--http-port")
        self._socket = _bound(self._host, self._wanted)

    def start(self) -> None:
        """Listens; requests are answered from the next turns of the event loop on."""
        assert self._socket is not None
        self._socket.listen()
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))

    async def stop(self, grace_seconds: float) -> None:
        """Stops listening, lets requests finish for a while, and ends those that are left."""
        if self._serving is None:
            return
        self._server.config.timeout_graceful_shutdown = max(1, round(grace_seconds))
        self._server.should_exit = True
        await self._serving


class _Protocol(H11Protocol):
    """Tells the application which names the client's certificate has, and waits for no request without end."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if certificate := transport.get_extra_info("peercert"):
            self.app_state = {**self.app_state, CERTIFICATE: _names(certificate)}
        self._bound_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._bound_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_timer()

    def _bound_head(self) -> None:
        """Has the connection ended unless a whole head comes in time. uvicorn bounds the pause between requests alone,
        and that only until the first byte of the next."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(_HEAD_SECONDS, self.transport.close)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _names(certificate: Any) -> list[str]:
    """As gRPC tells them: those beside the subject, then the subject's own."""
    subject = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return list(dict.fromkeys([*(value for _, value in certificate.get("subjectAltName", ())), *subject]))


class _Context(ssl.SSLContext):
    """Wraps each connection by what is in the TLS files at that time; asyncio asks nothing else of it."""

    _certificates: Certificates

    def __new__(cls, certificates: Certificates) -> "_Context":
        context = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        context._certificates = certificates
        return context

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        return self._certificates.value.context.wrap_bio(*arguments, **options)


class _Uvicorn(uvicorn.Server):
    """Leaves signals to the server as a whole."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(address)
    return bound
