"""Traces: one from the client's call through the server to the stages of its job, as OTLP's receivers get it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support import reviews
from tests.support.running_server import RunningServer

pytest.importorskip("opentelemetry.sdk", reason="pip install 'headstart[telemetry]'")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

CLIENT = """
import sys, json, headstart
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
with headstart.Client(sys.argv[1]) as client:
    client.train(json.loads(sys.argv[2]), headstart.ServerPath("reviews.csv")).result()
    try:
        client.models.get("models/" + "0" * 26)
    except headstart.NotFound:
        pass
trace.get_tracer_provider().shutdown()
"""
STAGES = ["prepare", "encode", "train", "publish"]
TRAIN = "headstart.v1.TrainingService/TrainJob"


class Receiver:
    """Takes spans by OTLP over HTTP. Use as a context."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    receiver.spans.extend(span for scope in resource.scope_spans for span in scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def spans(model_root: Path, data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Span]]:
    """Those of a job and of a call that fails, once all processes have ended."""
    flags = ["--model-root", str(model_root), "--data-root", str(data_root)]
    with Receiver() as receiver, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        with RunningServer(tmp_path_factory.mktemp("traced"), *flags) as server:
            arguments = [server.address, json.dumps(reviews.spec(epochs=1))]
            subprocess.run([sys.executable, "-c", CLIENT, *arguments], check=True, timeout=300, env=os.environ)
        yield receiver.spans


def one(spans: list[Span], name: str, kind: Span.SpanKind.ValueType) -> Span:
    [found] = [span for span in spans if span.name == name and span.kind == kind]
    return found


def test_one_trace_goes_from_the_call_to_the_stages_of_its_job(spans: list[Span]) -> None:
    call, rpc = one(spans, TRAIN, Span.SPAN_KIND_CLIENT), one(spans, TRAIN, Span.SPAN_KIND_SERVER)
    job = one(spans, "job", Span.SPAN_KIND_INTERNAL)
    stages = [one(spans, name, Span.SPAN_KIND_INTERNAL) for name in STAGES]
    assert {span.trace_id for span in (rpc, job, *stages)} == {call.trace_id}
    assert (rpc.parent_span_id, job.parent_span_id) == (call.span_id, rpc.span_id)
    assert {stage.parent_span_id for stage in stages} == {job.span_id}


def test_stages_follow_each_other_within_their_job(spans: list[Span]) -> None:
    job, *stages = [one(spans, name, Span.SPAN_KIND_INTERNAL) for name in ("job", *STAGES)]
    times = [time for stage in stages for time in (stage.start_time_unix_nano, stage.end_time_unix_nano)]
    assert times == sorted(times)
    assert job.start_time_unix_nano <= times[0]
    assert times[-1] <= job.end_time_unix_nano


def test_spans_say_how_calls_were_answered(spans: list[Span]) -> None:
    name = "headstart.v1.ModelService/GetModel"
    attributes = {item.key: item.value for item in one(spans, name, Span.SPAN_KIND_SERVER).attributes}
    assert attributes["rpc.grpc.status_code"].int_value == 5  # NOT_FOUND
    assert not [span.name for span in spans if span.name.startswith("grpc.health")]
