"""Who is let in over HTTP: by the same credentials, scopes and audit log as over gRPC."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import structlog
from starlette.requests import Request
from starlette.responses import Response

from headstart_server.auth.authenticator import Credentials
from headstart_server.core.errors import HeadstartError
from headstart_server.core.names import new_id
from headstart_server.core.principal import set_caller
from headstart_server.rpc.access import METRICS_ACCESS, Access, access_of
from headstart_server.rpc.auditing import AuditedCall
from headstart_server.rpc.errors import status_of
from headstart_server.rpc.gate import Gate

CERTIFICATE = "certificate"
"""Where the server keeps the names of a client's certificate in a request's state."""
Endpoint = Callable[[Request], Awaitable[Response]]


class HttpCall:
    """One request for an RPC, or for what asks for a scope as an RPC does."""

    def __init__(self, gate: Gate, method: str, access: Access | None, request: Request) -> None:
        self._gate, self._access, self._request = gate, access, request
        self.request_id = new_id()
        peer = request.client.host if request.client is not None else ""
        self._audited = AuditedCall(gate.audit, "http", method, access, peer)

    async def admit(self) -> None:
        """Lets the caller in; raises UnauthenticatedError or PermissionDeniedError."""
        if self._access is not None:
            await self._gate.admit(self._access, _credentials(self._request))

    def asked(self, message: Any) -> None:
        """Takes note of the RPC's request."""
        self._audited.asked(message)

    def answered(self, message: Any) -> None:
        """Takes note of its answer."""
        self._audited.answered(message, self.request_id)

    def end(self, code: grpc.StatusCode, reason: str) -> None:
        """The call is over."""
        self._audited.end(code, reason, self.request_id)


@contextmanager
def called(gate: Gate, method: str, request: Request) -> Iterator[HttpCall]:
    """What runs within is one call of `SERVICE/RPC`."""
    with _called(gate, method, access_of(method), request) as call:
        yield call


def guarded(gate: Gate, endpoint: Endpoint) -> Endpoint:
    """The metrics, for those who may scrape them."""

    async def answer(request: Request) -> Response:
        with _called(gate, request.url.path, METRICS_ACCESS, request) as call:
            await call.admit()
        return await endpoint(request)

    return answer


@contextmanager
def _called(gate: Gate, method: str, access: Access | None, request: Request) -> Iterator[HttpCall]:
    call, code, reason = HttpCall(gate, method, access, request), grpc.StatusCode.INTERNAL, ""
    set_caller(None)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(rpc=method.rpartition("/")[2], rpc_id=call.request_id)
    try:
        yield call
        code = grpc.StatusCode.OK
    except HeadstartError as error:
        code, reason = status_of(error)[0], error.reason
        raise
    except asyncio.CancelledError:
        code = grpc.StatusCode.CANCELLED
        raise
    finally:
        call.end(code, reason)


def _credentials(request: Request) -> Credentials:
    return Credentials(request.headers.getlist("authorization"), getattr(request.state, CERTIFICATE, ()))
