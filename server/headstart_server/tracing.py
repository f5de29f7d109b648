"""Traces by OpenTelemetry, where it is installed and its standard variables ask for them; otherwise nothing.

A trace begins with the client's call, goes on in the RPC that answers it, and with the job's envelope in the process
that trains. Between processes it travels as W3C headers (https://www.w3.org/TR/trace-context/).
"""

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog

_log = structlog.get_logger()
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HTTP = "http/protobuf"
_FLUSH_SECONDS = 5.0
_tracer: Any = None
_provider: Any = None
Carrier = Mapping[str, str]
"""Headers that say which span something is a part of; empty: of none."""


def configure() -> None:
    """Begins to trace if the variables of this process ask for it. Called once, before the first span.

    OTLP over HTTP is what is spoken: a gRPC channel in a process that forks workers could end it.
    """
    global _tracer, _provider
    if not asked_for(os.environ):
        return
    if importlib.util.find_spec("opentelemetry.sdk") is None:
        _log.warning("traces are asked for and cannot be had: pip install 'headstart[telemetry]'")
        return
    protocol = next((os.environ[name] for name in _PROTOCOLS if os.environ.get(name)), _HTTP)
    if protocol != _HTTP:
        _log.warning("traces are sent by another protocol than is asked for", asked=protocol, used=_HTTP)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: "headstart"}
    _provider = TracerProvider(resource=Resource.create(named))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = _provider.get_tracer("headstart")


def asked_for(variables: Mapping[str, str]) -> bool:
    """Whether environment variables ask for traces, by OpenTelemetry's own rules.

    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
    """
    if variables.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = variables.get("OTEL_TRACES_EXPORTER", "")
    return exporter == "otlp" or (not exporter and any(variables.get(name) for name in _ENDPOINTS))


@contextmanager
def span(
    name: str, parent: Carrier | None = None, attributes: Mapping[str, str] | None = None, *, server: bool = False
) -> Iterator[None]:
    """What runs within is a span: of the one around it, or of a parent that another process has told.

    Of an error it tells the kind alone: messages may hold values of data.
    """
    if _tracer is None:
        yield
        return
    from opentelemetry.trace import use_span

    started = _started(name, parent, server=server, attributes=attributes or {})
    with use_span(started, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield
        except BaseException as error:
            _fail(started, type(error).__name__)
            raise


def begin(name: str, parent: Carrier) -> Callable[[], None]:
    """Begins a span that any thread may end, by calling what is returned; nothing that runs meanwhile is part of it."""
    if _tracer is None:
        return _nothing
    end: Callable[[], None] = _started(name, parent, server=False, attributes={}).end
    return end


def answered(status: str, number: int, *, failed: bool) -> None:
    """Says of the span that runs here how its call was answered; `failed`: for a reason of the server's own."""
    if _tracer is not None:
        from opentelemetry.trace import get_current_span

        get_current_span().set_attribute("rpc.grpc.status_code", number)
        if failed:
            _fail(get_current_span(), status)


def _started(name: str, parent: Carrier | None, *, server: bool, attributes: Mapping[str, str]) -> Any:
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind

    # None: the context that is current here
    context = extract(dict(parent)) if parent else None
    kind = SpanKind.SERVER if server else SpanKind.INTERNAL
    return _tracer.start_span(name, context, kind, attributes)


def _fail(failed: Any, why: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    failed.set_status(Status(StatusCode.ERROR, why))


def _nothing() -> None:
    """Ends no span."""


def carrier() -> dict[str, str]:
    """The span that runs here, for another process."""
    headers: dict[str, str] = {}
    if _tracer is not None:
        from opentelemetry.propagate import inject

        inject(headers)
    return headers


def flush(seconds: float = _FLUSH_SECONDS) -> None:
    """Sends what has ended so far; waits for it a few seconds at most."""
    if _provider is not None:
        _provider.force_flush(round(seconds * 1_000))
