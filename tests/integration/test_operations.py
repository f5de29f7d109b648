"""What platform engineers see: health, reflection, metrics, logs, the store's command, refusals at start."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import grpc
import headstart
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from headstart.v1 import training_pb2

from tests.support import reviews
from tests.support.running_server import RunningServer

SERVICES = ["Training", "Prediction", "Export", "Dataset", "Model", "Embedding", "Server"]


@pytest.mark.parametrize("service", ["", *(f"headstart.v1.{name}Service" for name in SERVICES)])
def test_each_service_reports_its_health(service: str, server: RunningServer) -> None:
    with grpc.insecure_channel(server.address) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_and_describes_every_service(server: RunningServer, version: str) -> None:
    service = f"grpc.reflection.{version}.ServerReflection"
    asked = [{"list_services": ""}, {"file_containing_symbol": service}]
    with grpc.insecure_channel(server.address) as channel:
        ask = channel.stream_stream(
            f"/{service}/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        answer, described = ask(iter([reflection_pb2.ServerReflectionRequest(**request) for request in asked]))
    [file] = described.file_descriptor_response.file_descriptor_proto
    assert FileDescriptorProto.FromString(file).package == f"grpc.reflection.{version}"
    assert service in {found.name for found in answer.list_services_response.service}
    names = {service.name for service in answer.list_services_response.service}
    assert {f"headstart.v1.{name}Service" for name in SERVICES} <= names


def test_the_contract_of_the_server_is_that_of_its_info_and_of_the_stubs(tmp_path: Path) -> None:
    with RunningServer(tmp_path, http=True) as server, server.client() as client:
        told = client.server_info().contract
        with urllib.request.urlopen(f"{server.url}{told.path}") as answer:
            served = answer.read()
    assert hashlib.sha256(served).hexdigest() == told.sha256
    files = {file.name: file for file in FileDescriptorSet.FromString(served).file}
    stubs = FileDescriptorProto()
    training_pb2.DESCRIPTOR.CopyToProto(stubs)
    assert files["headstart/v1/training.proto"] == stubs
    assert {"google/rpc/status.proto", "google/protobuf/any.proto"} <= set(files)


def test_server_info_names_limits_devices_and_models(client: headstart.Client) -> None:
    info = client.server_info()
    assert info.limits.max_message_bytes == 64 << 20
    assert info.devices[0].name == "cpu"
    assert "tiny-bert" in info.pretrained_models
    assert {"bert", "auto_transformer", "roberta"} <= {encoder.type for encoder in info.encoders}


def test_metrics_count_rows_jobs_and_calls(model_root: Path, data_root: Path, tmp_path: Path) -> None:
    flags = ["--model-root", str(model_root), "--data-root", str(data_root), "--log-json"]
    with RunningServer(tmp_path / "state", *flags, http=True) as server:
        with server.client() as client:
            for _ in range(2):
                job = client.train(reviews.spec(epochs=1), headstart.ServerPath("reviews.csv")).result()
            client.predict(job.model, reviews.columns(reviews.make_rows(2, seed=50), "review", "price", "category"))
        with urllib.request.urlopen(f"{server.url}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        values = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}
        assert values['headstart_embedding_rows_total{outcome="encoded"}'] == 240
        assert values['headstart_embedding_rows_total{outcome="found"}'] == 240
        assert values['headstart_jobs{state="SUCCEEDED"}'] == 2
        assert values['headstart_jobs{state="QUEUED"}'] == 0
        assert values['headstart_rpcs_total{code="OK",method="TrainJob",service="headstart.v1.TrainingService"}'] == 2
        assert values["headstart_store_bytes"] > 240 * 32 * 2
        assert values["headstart_predict_batch_rows_sum"] == 2
        logs = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
        assert {"job ended", "serving"} <= {line["event"] for line in logs}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--host", "0.0.0.0"], "serve TLS"),
        (["--model-root", "/nowhere/at/all"], "model_root"),
        (["--tls-key", "key.pem"], "go together"),
        (["--port", "many"], "port"),
        (["--ray-timeout", "99999999999"], "ray_timeout"),
    ],
)
def test_settings_that_do_not_fit_are_refused(flags: list[str], message: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "headstart_server.app", "--state-dir", str(tmp_path), *flags]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 2
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_spaces_are_listed_and_deleted(client: headstart.Client) -> None:
    feature = reviews.spec()["input_features"][0]
    wanted = {**feature, "preprocessing": {"max_sequence_length": 12}}
    first = client.embed(wanted, {"review": ["great film", "awful film", "great film"]})
    assert (len(first), first.rows_found) == (3, 0)
    assert client.embed(wanted, {"review": ["awful film"]}).rows_found == 1
    listed = {space.name: space for space in client.embedding_spaces.list()}
    assert listed[first.embedding_space].row_count == 2
    client.embedding_spaces.delete(first.embedding_space)
    assert first.embedding_space not in {space.name for space in client.embedding_spaces.list()}
    assert client.embed(wanted, {"review": ["awful film"]}).rows_found == 0


def test_a_space_can_be_deleted_as_soon_as_its_job_has_ended(client: headstart.Client) -> None:
    spec = reviews.spec(epochs=1)
    spec["input_features"][0]["preprocessing"] = {"max_sequence_length": 13}
    job = client.train(spec, headstart.ServerPath("reviews.csv")).result()
    space = job.encode_progress.embedding_space
    client.embedding_spaces.delete(space)
    assert space not in {found.name for found in client.embedding_spaces.list()}


def test_the_store_is_verified_from_the_command_line(server: RunningServer, client: headstart.Client) -> None:
    client.train(reviews.spec(epochs=1), headstart.ServerPath("reviews.csv")).result()
    command = [sys.executable, "-m", "headstart_server.embedding_store.cli", "verify", "--state-dir", str(server.state)]
    found = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    report = json.loads(found.stdout)
    assert report["corrupt"] == 0
    assert report["shards"] > 0
