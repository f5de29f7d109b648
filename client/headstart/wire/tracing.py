"""Spans of calls, where the application has OpenTelemetry; its own provider says what becomes of them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from typing import Any

Metadata = tuple[tuple[str, str], ...]


@lru_cache(maxsize=1)
def installed() -> bool:
    """Return whether there is an OpenTelemetry."""
    return importlib.util.find_spec("opentelemetry") is not None


def traced(path: str, start: Callable[[Metadata], Any], metadata: Metadata) -> Any:
    """Start a call within a span of its own, and tell the server of it; return what `start` does.

    The span ends when the call does. Without OpenTelemetry, or a provider in it, nothing is recorded.
    """
    if not installed():
        return start(metadata)
    from opentelemetry import propagate, trace
    from opentelemetry.trace import SpanKind, Status, StatusCode

    span = trace.get_tracer("headstart").start_span(path.strip("/"), kind=SpanKind.CLIENT)
    headers: dict[str, str] = {}
    propagate.inject(headers, trace.set_span_in_context(span))
    try:
        call = start((*metadata, *headers.items()))
    except BaseException as error:
        span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        span.end()
        raise
    if hasattr(call, "add_done_callback"):  # a stream, or an answer that is still to come
        call.add_done_callback(lambda _: span.end())
    else:
        span.end()
    return call
