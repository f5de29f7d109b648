"""Around every RPC: who may call, errors to statuses, logs with a request id, metrics; no stack trace to a client."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import grpc
import structlog

from headstart_server import tracing
from headstart_server.core import deadlines
from headstart_server.core.calls import Calls
from headstart_server.core.errors import HeadstartError, UnexpectedError
from headstart_server.core.names import new_id
from headstart_server.core.principal import known_caller, set_caller
from headstart_server.rpc.access import OPEN, Access, access_of
from headstart_server.rpc.auditing import AuditedCall
from headstart_server.rpc.errors import Trailers, status_of, trailers_of
from headstart_server.rpc.gate import Gate, credentials_of, headers_of
from headstart_server.rpc.measuring import MeasuredCall
from headstart_server.rpc.requests import all_readable, readable, tolerant

_log = structlog.get_logger()
_TRACE_HEADERS = ("traceparent", "tracestate", "baggage")
_OWN_ERRORS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS)
_QUIET = ("/grpc.health.", "/grpc.reflection.", *(f"/{method}" for method in OPEN))
_DEADLINE_SHARE, _DEADLINE_SECONDS = 0.02, 0.1
"""How much earlier than here a deadline may pass at the client, whose timeout travels rounded up, and not at once."""


@dataclass(frozen=True)
class _Method:
    """What every call of one method has in common."""

    access: Access | None
    handler: Any
    """Wrapped."""
    refusing: Callable[[Exception], Any]
    """The handler for who is not let in."""


class Boundary(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Wraps the handler of every RPC of this service."""

    def __init__(self, gate: Gate, calls: Calls) -> None:
        self._gate, self._calls = gate, calls
        self._methods: dict[str, _Method] = {}
        """Those that were called, by path: wrapping a handler takes longer than refusing a call."""

    async def intercept_service(self, continuation: Callable[..., Awaitable[Any]], call: Any) -> Any:
        """Returns the wrapped handler; for who is not let in one that refuses, and reads no request."""
        method = self._methods.get(call.method)
        if method is None:
            handler = await continuation(call)
            if handler is None:
                return None  # not kept: callers can name any number of methods that there are not
            method = self._methods[call.method] = self._method(call.method, handler)
        refusal = await self._refusal(method.access, call)
        return method.handler if refusal is None else method.refusing(refusal)

    def _method(self, path: str, handler: Any) -> _Method:
        access = access_of(path.strip("/"))
        observed: Callable[[Any], _Quiet] = partial(_Observed, path.strip("/"), access, self._gate, calls=self._calls)
        if path.startswith(_QUIET):
            observed = partial(_Quiet, path.strip("/"), access, self._gate)
        kind = f"{_kind(handler.request_streaming)}_{_kind(handler.response_streaming)}"
        wrapped = _wrapped(getattr(handler, kind), observed, handler.request_streaming)
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        made = make(wrapped, tolerant(handler.request_deserializer), handler.response_serializer)
        return _Method(
            access, made, lambda refusal: grpc.stream_stream_rpc_method_handler(_refusing(observed, refusal))
        )

    async def _refusal(self, access: Access | None, call: Any) -> Exception | None:
        """Why the caller is not let in, as far as its headers tell: certificates are not to be had here."""
        set_caller(None)
        if access is None or self._gate.certificates:
            return None
        try:
            await self._gate.admit(access, headers_of(call.invocation_metadata))
        except Exception as error:  # noqa: BLE001 - raised again where it becomes a status
            return error
        return None


def _kind(streams: bool) -> str:
    return "stream" if streams else "unary"


def _wrapped(inner: Callable[..., Any], observed: Callable[[Any], "_Quiet"], streams: bool) -> Callable[..., Any]:
    """A handler whose requests can be read and whose errors become statuses. Some write their answers themselves."""
    read = all_readable if streams else readable

    async def answer(request: Any, context: Any) -> Any:
        async with observed(context) as call:
            await call.admit(request)
            response = await inner(read(request), context)
            call.answered(response)
            return response

    async def stream(request: Any, context: Any) -> None:
        async with observed(context) as call:
            await call.admit(request)
            async with aclosing(inner(read(request), context)) as responses:
                async for response in responses:
                    call.answered(response)
                    # written here, not yielded: what cannot be sent is raised here, within `observed`
                    await _write(context, response)

    return stream if inspect.isasyncgenfunction(inner) else answer


def _refusing(observed: Callable[[Any], "_Quiet"], refusal: Exception) -> Callable[..., Any]:
    """A handler that refuses every call: as one of streams, which may end before a request is read."""

    async def refuse(_: Any, context: Any) -> None:
        async with observed(context):
            raise refusal

    return refuse


async def _write(context: Any, response: Any) -> None:
    """Sends an answer of a stream; raises CancelledError where the caller has gone, which is no failure."""
    try:
        await context.write(response)
    except grpc.aio.InternalError as error:
        raise asyncio.CancelledError from error


class _Quiet:
    """Lets a caller in, and turns what one RPC raises into a status."""

    def __init__(self, method: str, access: Access | None, gate: Gate, context: Any) -> None:
        self._service, self._method = method.split("/", 1)
        self._access, self._gate, self._context = access, gate, context
        self._request_id = new_id()
        self._audited = AuditedCall(gate.audit, "grpc", method, access, context.peer())

    async def __aenter__(self) -> Self:
        self._seconds = self._context.time_remaining()
        deadlines.begin(self._seconds)
        self._begin()
        structlog.contextvars.clear_contextvars()
        caller = known_caller()
        known = {"caller": caller.name, "tenant": caller.tenant} if caller is not None else {}
        structlog.contextvars.bind_contextvars(rpc=self._method, rpc_id=self._request_id, **known)
        return self

    async def admit(self, request: Any) -> None:
        """Lets the caller in, unless that was done before; raises UnauthenticatedError or PermissionDeniedError, and
        StoppingError or OverloadedError where the server takes no call now."""
        self._audited.asked(request)
        if self._access is not None and known_caller() is None:
            await self._gate.admit(self._access, credentials_of(self._context))
        self._take()

    def answered(self, response: Any) -> None:
        """Takes note of an answer."""
        self._audited.answered(response, self._request_id)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        code = grpc.StatusCode.OK
        message, reason, metadata = "", "", Trailers()
        if isinstance(error, HeadstartError):
            code, message, reason, metadata = self._told(error)
        elif isinstance(error, asyncio.CancelledError | GeneratorExit):
            code = self._cancelled()
        elif isinstance(error, grpc.aio.AbortError):
            code = grpc.StatusCode.UNKNOWN
        elif error is not None:
            code, message, reason, metadata = self._told(UnexpectedError())
            _log.exception("rpc failed unexpectedly", exc_info=error)
        self._observe(code, message)
        self._audited.end(code, reason, self._request_id)
        # who was cancelled hears nothing any more; a handler that aborted has set its own status
        answered = isinstance(error, asyncio.CancelledError | GeneratorExit | grpc.aio.AbortError)
        if error is not None and not answered:
            await self._context.abort(code, message, metadata)

    def _told(self, error: HeadstartError) -> tuple[grpc.StatusCode, str, str, Trailers]:
        """What the caller is told of an error: code, message, reason and trailers."""
        code, message, status = status_of(error, self._request_id)
        return code, message, error.reason, trailers_of(error, code, status)

    def _cancelled(self) -> grpc.StatusCode:
        """What the client sees of a call that was cancelled: its own doing, or that its deadline has passed."""
        left = deadlines.seconds_left()
        if left is not None and left <= _DEADLINE_SECONDS + _DEADLINE_SHARE * (self._seconds or 0.0):
            return grpc.StatusCode.DEADLINE_EXCEEDED
        return grpc.StatusCode.CANCELLED

    def _take(self) -> None:
        """Nothing: health is asked of a server that is stopping, too."""

    def _begin(self) -> None:
        """Nothing, as `_observe`."""

    def _observe(self, code: grpc.StatusCode, message: str) -> None:
        """Nothing: health and reflection are asked every few seconds."""


class _Observed(_Quiet):
    """Times and counts an RPC, too."""

    def __init__(self, method: str, access: Access | None, gate: Gate, context: Any, *, calls: Calls) -> None:
        super().__init__(method, access, gate, context)
        self._calls, self._held = calls, ExitStack()

    def _take(self) -> None:
        self._held.enter_context(self._calls.one())

    def _begin(self) -> None:
        self._call = MeasuredCall(self._service, self._method)
        parent = {key: value for key, value in self._context.invocation_metadata() or () if key in _TRACE_HEADERS}
        self._span = tracing.span(f"{self._service}/{self._method}", parent, server=True)
        self._span.__enter__()

    def _observe(self, code: grpc.StatusCode, message: str) -> None:
        self._held.close()
        seconds = self._call.end(code)
        tracing.answered(code.name, code.value[0], failed=code in _OWN_ERRORS)
        self._span.__exit__(None, None, None)
        # refusals of a busy server are counted: a line for each would make it busier
        log = _log.warning if message and code is not grpc.StatusCode.RESOURCE_EXHAUSTED else _log.debug
        log("rpc", code=code.name, seconds=round(seconds, 4), **({"error": message} if message else {}))
