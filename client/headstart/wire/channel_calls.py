"""Callables of a channel by method, made once each, because building one per call costs more than a small call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from headstart.wire.methods import Method
from headstart.wire.tracing import Metadata, traced


class ChannelCalls:
    """The methods of one channel, of `grpc` or `grpc.aio` alike."""

    def __init__(self, channel: Any, metadata: Callable[[], Metadata]) -> None:
        """Take a channel, and what gives the headers of a call that is made now."""
        self._channel = channel
        self._metadata = metadata
        self._known: dict[str, Any] = {}

    def start(self, method: Method[Any, Any], request: Any, timeout: float | None = None) -> Any:
        """Start a call: the answer (or its awaitable) where the server answers once, otherwise the stream."""
        call = self._callable(method)
        return traced(method.path, lambda metadata: call(request, timeout=timeout, metadata=metadata), self._metadata())

    def send(self, method: Method[Any, Any], requests: Iterable[Any], timeout: float | None = None) -> Any:
        """Start a call of the blocking API that streams requests and is answered once; return its future."""
        call = self._callable(method).future
        return traced(
            method.path, lambda metadata: call(iter(requests), timeout=timeout, metadata=metadata), self._metadata()
        )

    def _callable(self, method: Method[Any, Any]) -> Any:
        if method.path not in self._known:
            sides = ("stream" if streams else "unary" for streams in (method.client_streams, method.server_streams))
            make = getattr(self._channel, "_".join(sides))
            self._known[method.path] = make(
                method.path,
                request_serializer=method.request.SerializeToString,
                response_deserializer=method.response.FromString,
            )
        return self._known[method.path]
