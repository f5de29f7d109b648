"""Around every RPC: errors to statuses, logs with a request id, metrics. Never a stack trace to a client."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import structlog

from headstart_server import metrics
from headstart_server.core.errors import HeadstartError
from headstart_server.core.names import new_id
from headstart_server.rpc.errors import DETAILS_KEY, status_of

_log = structlog.get_logger()
_QUIET = ("/grpc.health.", "/grpc.reflection.")


class Boundary(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Wraps the handler of every RPC of this service."""

    async def intercept_service(self, continuation: Callable[..., Awaitable[Any]], call: Any) -> Any:
        """Returns the wrapped handler."""
        handler = await continuation(call)
        if handler is None or call.method.startswith(_QUIET):
            return handler
        method = call.method.rsplit("/", 1)[-1]
        if handler.response_streaming:
            inner = handler.stream_stream or handler.unary_stream
            factory = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            return factory(_streaming(method, inner), handler.request_deserializer, handler.response_serializer)
        inner = handler.stream_unary or handler.unary_unary
        factory = (
            grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
        )
        return factory(_unary(method, inner), handler.request_deserializer, handler.response_serializer)


def _unary(method: str, inner: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    async def call(request: Any, context: Any) -> Any:
        async with _Observed(method, context):
            return await inner(request, context)

    return call


def _streaming(
    method: str, inner: Callable[[Any, Any], AsyncIterator[Any]]
) -> Callable[[Any, Any], AsyncIterator[Any]]:
    async def call(request: Any, context: Any) -> AsyncIterator[Any]:
        async with _Observed(method, context):
            async for response in inner(request, context):
                yield response

    return call


class _Observed:
    """Times one RPC and turns what it raises into a status."""

    def __init__(self, method: str, context: Any) -> None:
        self._method, self._context = method, context
        self._start = time.perf_counter()

    async def __aenter__(self) -> None:
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
        if error is not None and code not in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN):
            await self._context.abort(code, message, metadata)

    def _observe(self, code: grpc.StatusCode, message: str) -> None:
        seconds = time.perf_counter() - self._start
        metrics.RPCS.labels(self._method, code.name).inc()
        metrics.RPC_SECONDS.labels(self._method).observe(seconds)
        log = _log.warning if message else _log.debug
        log("rpc", code=code.name, seconds=round(seconds, 4), **({"error": message} if message else {}))
