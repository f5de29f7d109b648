"""Exports run without Headstart, from raw text, and say what the live model says."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import headstart
import pytest

from tests.support import reviews

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
sys.argv = ["predict.py", {rows!r}]
runpy.run_path("predict.py", run_name="__main__")
strangers = {{"headstart", "headstart_server", "transformers", "pyarrow", {stranger!r}}} & set(sys.modules)
sys.exit(f"imported {{strangers}}" if strangers else 0)
"""


@pytest.fixture(scope="module", params=["frozen", "trainable"])
def model(request: pytest.FixtureRequest, server) -> str:
    """A trained model."""
    wanted = reviews.spec(epochs=2)
    wanted["input_features"][0]["encoder"]["trainable"] = request.param == "trainable"
    with server.client() as client:
        return client.train(wanted, headstart.ServerPath("reviews.csv")).result().model


@pytest.mark.parametrize(("file_format", "stranger"), [("onnx", "torch"), ("torchscript", "onnxruntime")])
def test_artifact_alone_answers_as_the_live_model(
    model: str, client: headstart.Client, tmp_path: Path, file_format: str, stranger: str
) -> None:
    rows = [{**row, "review": text} for row, text in zip(reviews.make_rows(8), NASTY, strict=True)]
    rows += reviews.make_rows(64, seed=3)
    path = reviews.write_csv(tmp_path / "rows.csv", rows)
    exported = client.export(model, format=file_format, output_dir=tmp_path / "artifact")
    assert exported.artifact.max_difference <= 1e-4
    code = _ONLY.format(rows=str(path), stranger=stranger)
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=tmp_path / "artifact",
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    answered = [float(row["verdict_probability_positive"]) for row in csv.DictReader(found.stdout.splitlines())]
    live = client.predict(model, reviews.columns(rows, "review", "price", "category"))["verdict"]
    position = live.classes.index("positive")
    expected = [row[position] for row in live.probabilities]
    assert answered == pytest.approx(expected, abs=1e-4)


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
