"""When traces are made: never unless OpenTelemetry's own variables ask for them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from headstart_server import tracing

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}


@pytest.mark.parametrize(
    ("variables", "asked"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_standard_variables_decide(variables: dict[str, str], asked: bool) -> None:
    assert tracing.asked_for(variables) == asked


def test_nothing_is_loaded_or_told_unless_it_is_asked_for() -> None:
    program = """
import sys
from headstart_server import tracing
tracing.configure()
with tracing.span("job", {"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}):
    tracing.begin("train", tracing.carrier())()
    assert tracing.carrier() == {}
print(sorted(name for name in sys.modules if name.startswith("opentelemetry")))
"""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=plain)
    assert done.stdout.strip() == "[]"
