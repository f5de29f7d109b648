"""Around every RPC: errors to statuses, logs with a request id, metrics. Never a stack trace to a client."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
import structlog

from headstart_server import tracing
from headstart_server.core.errors import HeadstartError
from headstart_server.core.names import new_id
from headstart_server.rpc.errors import DETAILS_KEY, status_of
from headstart_server.rpc.measuring import MeasuredCall
from headstart_server.rpc.requests import all_readable, readable, tolerant

_log = structlog.get_logger()
_TRACE_HEADERS = ("traceparent", "tracestate", "baggage")
_OWN_ERRORS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS)
_QUIET = ("/grpc.health.", "/grpc.reflection.")


class Boundary(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Wraps the handler of every RPC of this service."""

    async def intercept_service(self, continuation: Callable[..., Awaitable[Any]], call: Any) -> Any:
        """Returns the wrapped handler."""
        handler = await continuation(call)
        if handler is None:
            return handler
        kind = f"{_kind(handler.request_streaming)}_{_kind(handler.response_streaming)}"
        observed = _Quiet if call.method.startswith(_QUIET) else _Observed
        service, method = call.method.strip("/").split("/", 1)
        wrapped = _wrapped(getattr(handler, kind), (service, method), observed, handler.request_streaming)
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        return make(wrapped, tolerant(handler.request_deserializer), handler.response_serializer)


def _kind(streams: bool) -> str:
    return "stream" if streams else "unary"


def _wrapped(
    inner: Callable[..., Any], method: tuple[str, str], observed: type["_Quiet"], streams: bool
) -> Callable[..., Any]:
    """A handler whose requests can be read and whose errors become statuses. Some write their answers themselves."""
    read = all_readable if streams else readable

    async def answer(request: Any, context: Any) -> Any:
        async with observed(method, context):
            return await inner(read(request), context)

    async def stream(request: Any, context: Any) -> None:
        async with observed(method, context), aclosing(inner(read(request), context)) as responses:
            async for response in responses:
                # written here, not yielded: what cannot be sent is raised here, within `observed`
                await _write(context, response)

    return stream if inspect.isasyncgenfunction(inner) else answer


async def _write(context: Any, response: Any) -> None:
    """Sends an answer of a stream; raises CancelledError where the caller has gone, which is no failure."""
    try:
        await context.write(response)
    except grpc.aio.InternalError as error:
        raise asyncio.CancelledError from error


class _Quiet:
    """Turns what one RPC raises into a status."""

    def __init__(self, method: tuple[str, str], context: Any) -> None:
        self._service, self._method = method
        self._context = context

    async def __aenter__(self) -> None:
        self._begin()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(rpc=self._method, rpc_id=new_id())

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        code = grpc.StatusCode.OK
        message, metadata = "", tuple[tuple[str, bytes], ...]()
        if isinstance(error, HeadstartError):
            code, message, status = status_of(error)
            metadata = ((DETAILS_KEY, status.SerializeToString()),)
        elif isinstance(error, asyncio.CancelledError | GeneratorExit):
            code = grpc.StatusCode.CANCELLED
        elif isinstance(error, grpc.aio.AbortError):
            code = grpc.StatusCode.UNKNOWN
        elif error is not None:
            code, message = grpc.StatusCode.INTERNAL, "the server failed; its log has the details"
            _log.exception("rpc failed unexpectedly", exc_info=error)
        self._observe(code, message)
        # who was cancelled hears nothing any more; a handler that aborted has set its own status
        if error is not None and code not in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN):
            await self._context.abort(code, message, metadata)

    def _begin(self) -> None:
        """Nothing, as `_observe`."""

    def _observe(self, code: grpc.StatusCode, message: str) -> None:
        """Nothing: health and reflection are asked every few seconds."""


class _Observed(_Quiet):
    """Times and counts an RPC, too."""

    def _begin(self) -> None:
        self._call = MeasuredCall(self._service, self._method)
        parent = {key: value for key, value in self._context.invocation_metadata() or () if key in _TRACE_HEADERS}
        self._span = tracing.span(f"{self._service}/{self._method}", parent, server=True)
        self._span.__enter__()

    def _observe(self, code: grpc.StatusCode, message: str) -> None:
        seconds = self._call.end(code)
        tracing.answered(code.name, code.value[0], failed=code in _OWN_ERRORS)
        self._span.__exit__(None, None, None)
        log = _log.warning if message else _log.debug
        log("rpc", code=code.name, seconds=round(seconds, 4), **({"error": message} if message else {}))
