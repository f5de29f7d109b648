"""Exports run without Headstart, from raw text, and say what the live model says."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import grpc
import headstart
import pytest
from headstart.v1 import export_pb2 as pb
from headstart.v1 import export_pb2_grpc

from tests.support import reviews
from tests.support.running_server import RunningServer
from tests.support.stubs import stub_of

NASTY = [
    "",
    "good",
    "x" * 300,
    "very " * 100,
    "Ünïcödé BAD déjà",
    "[SEP] good [MASK]",
    "漢字 good 👍",
    "tab\tand\nnewline bad",
]
_ONLY = """
import runpy, sys
sys.modules.update(dict.fromkeys({absent!r}))
sys.argv = ["predict.py", {rows!r}]
runpy.run_path("predict.py", run_name="__main__")
"""
_SERVER = ["headstart", "headstart_server", "transformers", "safetensors", "pyarrow", "onnx", "grpc", "google.protobuf"]
ABSENT = {
    "onnx": [*_SERVER, "torch"],
    "torchscript": [*_SERVER, "onnxruntime", "tokenizers", "numpy"],
}
"""What a process that runs an artifact cannot import."""


def run_alone(folder: Path, file_format: str, rows: Path) -> subprocess.CompletedProcess[str]:
    """Runs an artifact's script where nothing is installed but what its README names."""
    return subprocess.run(
        [sys.executable, "-c", _ONLY.format(rows=str(rows), absent=ABSENT[file_format])],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module", params=["frozen", "trainable"])
def model(request: pytest.FixtureRequest, server: RunningServer) -> str:
    """A trained model."""
    wanted = reviews.spec(epochs=2)
    wanted["input_features"][0]["encoder"]["trainable"] = request.param == "trainable"
    with server.client() as client:
        return client.train(wanted, headstart.ServerPath("reviews.csv")).result().model


@pytest.mark.both_arithmetics
@pytest.mark.parametrize("file_format", ABSENT)
def test_artifact_alone_answers_as_the_live_model(
    model: str, client: headstart.Client, tmp_path: Path, file_format: str
) -> None:
    rows = [{**row, "review": text} for row, text in zip(reviews.make_rows(8), NASTY, strict=True)]
    rows += reviews.make_rows(64, seed=3)
    path = reviews.write_csv(tmp_path / "rows.csv", rows)
    exported = client.export(model, format=file_format, output_dir=tmp_path / "artifact")
    assert exported.artifact.max_difference <= 1e-4
    found = run_alone(tmp_path / "artifact", file_format, path)
    assert found.returncode == 0, found.stderr
    answered = [float(row["verdict_probability_positive"]) for row in csv.DictReader(found.stdout.splitlines())]
    live = client.predict(model, reviews.columns(rows, "review", "price", "category"))["verdict"]
    position = live.classes.index("positive")
    expected = [row[position] for row in live.probabilities]
    assert answered == pytest.approx(expected, abs=1e-4)


@pytest.fixture(scope="module")
def versatile(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model with inputs of every kind that TorchScript reads, and outputs of every kind."""
    wanted = reviews.spec(epochs=2)
    wanted["input_features"].append({"name": "sold", "type": "binary"})
    wanted["output_features"] += [
        {"name": "watched", "type": "binary", "decoder": {"threshold": 0.3}},
        {"name": "score", "type": "number"},
        {"name": "tags", "type": "set", "decoder": {"threshold": 0.4}},
        {"name": "point", "type": "vector"},
    ]
    path = reviews.write_csv(tmp_path_factory.mktemp("versatile") / "rows.csv", with_sales(reviews.make_rows(120)))
    with server.client() as client:
        return client.train(wanted, path).result().model


def with_sales(rows: list[reviews.Row]) -> list[reviews.Row]:
    """Rows with one more truth value."""
    return [{**row, "sold": "no" if index % 3 else "yes"} for index, row in enumerate(rows)]


@pytest.mark.parametrize("file_format", ABSENT)
def test_artifact_writes_the_csv_that_headstart_predict_writes(
    versatile: str, server: RunningServer, client: headstart.Client, tmp_path: Path, file_format: str
) -> None:
    path = reviews.write_csv(tmp_path / "rows.csv", with_sales(reviews.make_rows(150, seed=9)))
    client.export(versatile, format=file_format, output_dir=tmp_path / "artifact")
    found = run_alone(tmp_path / "artifact", file_format, path)
    assert (found.returncode, found.stderr) == (0, "")
    command = ["predict", versatile, "--data", str(path), "--embedding-reuse", "none", "--server", server.address]
    expected = subprocess.run(
        [sys.executable, "-c", "from headstart.cli import main; main()", *command],
        capture_output=True,
        text=True,
        check=True,
    )
    (header, *answered), (wanted, *live) = (
        list(csv.reader(text.splitlines())) for text in (found.stdout, expected.stdout)
    )
    assert header == wanted
    assert len(answered) == len(live) == 150
    for one, other in zip(answered, live, strict=True):
        for column, cell, right in zip(header, one, other, strict=True):
            if "_probability_" in column or column in ("score_prediction", "point_prediction"):
                numbers = [float(number) for number in right.split()]
                assert [float(number) for number in cell.split()] == pytest.approx(numbers, abs=1e-4, rel=1e-4)
            else:
                assert cell == right, column


BAD = {
    "column 'price', row 71: 'cheap' is no finite number": ("price", "cheap"),
    "column 'sold', row 71: 'perhaps' is neither 'yes' nor 'no'": ("sold", "perhaps"),
    "column 'category' is missing; the file has 'review'": ("category", None),
}


@pytest.mark.parametrize("file_format", ABSENT)
def test_bad_cells_are_named_in_one_line_and_nothing_is_written(
    versatile: str, client: headstart.Client, tmp_path: Path, file_format: str
) -> None:
    client.export(versatile, format=file_format, output_dir=tmp_path / "artifact")
    for message, (column, cell) in BAD.items():
        rows = with_sales(reviews.make_rows(80))
        if cell is None:
            rows = [{name: row[name] for name in row if name != column} for row in rows]
        else:
            rows[70][column] = cell
        found = run_alone(tmp_path / "artifact", file_format, reviews.write_csv(tmp_path / "bad.csv", rows))
        assert (found.returncode, found.stdout) == (2, "")
        assert found.stderr.count("\n") == 1 and message in found.stderr


@pytest.mark.parametrize("file_format", [pb.Artifact.FORMAT_ONNX, pb.Artifact.FORMAT_TORCHSCRIPT])
@pytest.mark.parametrize("stage", ["load", "trace", "check"])
def test_deleting_a_model_while_it_is_exported_has_a_clear_status(
    server: RunningServer, stage: str, file_format: pb.Artifact.Format
) -> None:
    with server.client() as client, grpc.insecure_channel(server.address) as channel:
        model = client.train(reviews.spec(epochs=1), headstart.ServerPath("reviews.csv")).result().model
        stub = stub_of(export_pb2_grpc.ExportServiceStub, channel)
        events = []
        try:
            for event in stub.Export(pb.ExportRequest(model=model, format=file_format)):
                events.append(event)
                if event.progress.stage == stage:
                    client.models.delete(model)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.NOT_FOUND
            assert f"{model} was deleted" in error.details()
            assert stage == "load"
        else:
            assert events[-1].artifact.model == model
            assert client.artifacts.get(events[-1].artifact.name).model == model


@pytest.mark.both_arithmetics
def test_a_head_only_artifact_takes_embeddings(client: headstart.Client, tmp_path: Path) -> None:
    import numpy as np
    import onnxruntime

    job = client.train(reviews.spec(), headstart.ServerPath("reviews.csv")).result()
    client.export(job.model, format="onnx", head_only=True, output_dir=tmp_path)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    assert [item.name for item in session.get_inputs()] == ["review_embedding", "price", "category"]
    row = reviews.columns(reviews.make_rows(1), "review", "price", "category")
    feature = reviews.spec()["input_features"][0]
    embedding = np.array(list(client.embed(feature, {"review": row["review"]})), np.float32)
    inputs = {"review_embedding": embedding, "price": np.array([float(row["price"][0])]), "category": np.array([0])}
    (answered,) = session.run(None, inputs)
    expected = client.predict(job.model, {**row, "category": ["never seen"]})["verdict"].probabilities[0]
    assert answered[0] == pytest.approx(expected, abs=1e-4)


def test_the_same_export_twice_is_one_artifact(model: str, client: headstart.Client) -> None:
    first, second = (client.export(model, format="onnx").artifact.name for _ in range(2))
    assert first == second
