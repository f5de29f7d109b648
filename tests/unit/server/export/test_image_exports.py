"""Exports of image models: whole or head only, alone or beside text and numbers, run by themselves from a CSV file."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from headstart_server.export.torchscript import load_torchscript
from headstart_server.serving.inputs import Reuse
from PIL import Image

from tests.support import tiny_models
from tests.support.exports import Exports
from tests.support.image_exports import read_rows, trained_on_photos, write_rows
from tests.support.tiny_vision import SAVERS

FORMATS = ["onnx", "torchscript"]
_ALONE = """
import runpy, sys
sys.modules.update(dict.fromkeys({absent!r}))
sys.argv = ["predict.py", {rows!r}]
runpy.run_path("predict.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    tiny_models.save_bert(root / "models" / "bert")
    for name in ("vit", "clip"):
        SAVERS[name](root / "models" / name)
    return root


def photo(encoder: str, **changes: object) -> dict[str, Any]:
    """An image input with a transformers encoder."""
    named = {"type": "auto_transformer", "pretrained_model_name_or_path": encoder, "trainable": False}
    return {"name": "photo", "type": "image", "encoder": {**named, **changes}}


@pytest.fixture(scope="module")
def mixed(root: Path) -> Exports:
    """Photos, texts and numbers; the photos' encoder is a CLIP's image tower, fine-tuned."""
    text = {"type": "auto_transformer", "pretrained_model_name_or_path": "bert", "trainable": False}
    inputs: list[dict[str, Any]] = [photo("clip", trainable=True), {"name": "title", "type": "text", "encoder": text}]
    return trained_on_photos(root, [*inputs, {"name": "price", "type": "number"}])


@pytest.fixture(scope="module")
def alone(root: Path) -> Exports:
    """Photos only, with a ViT that stays as it is."""
    return trained_on_photos(root, [photo("vit")])


def live(exports: Exports, rows: Path) -> np.ndarray:
    """What the live model says of a CSV file's rows."""
    predictor = exports.pool.get("", exports.model)
    found = predictor.predict(predictor.loaded(predictor.rows(read_rows(rows)), Reuse.NONE), Reuse.NONE)
    return found.outputs["kind"]


def run_alone(folder: Path, rows: Path) -> subprocess.CompletedProcess[str]:
    """Runs an artifact's script in a process that knows nothing of this repository."""
    script = _ALONE.format(absent=["headstart", "headstart_server", "transformers", "torchvision"], rows=str(rows))
    environment = {**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("model", ["mixed", "alone"])
def test_an_artifact_by_itself_answers_from_a_csv_file_as_the_live_model(
    request: pytest.FixtureRequest, tmp_path: Path, model: str, file_format: str
) -> None:
    exports: Exports = request.getfixturevalue(model)
    artifact = exports.export(file_format)
    assert artifact.max_difference <= 1e-4
    rows = write_rows(tmp_path / "new", 15, seed=100)
    found = run_alone(exports.artifacts.folders.root / artifact.identifier, rows)
    assert (found.returncode, found.stderr) == (0, "")
    answers = list(csv.DictReader(found.stdout.splitlines()))
    labels = [name.removeprefix("kind_probability_") for name in answers[0] if "probability" in name]
    probabilities = [[float(row[f"kind_probability_{label}"]) for label in labels] for row in answers]
    expected = live(exports, rows)
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    assert np.ptp(expected[:, 0]) > 1e-3  # or else every answer would do


def test_a_bad_image_is_named_by_row_and_the_exit_code_is_2(alone: Exports, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "new", 4)
    (rows.parent / "photos" / "1.jpeg").write_text("no image")
    found = run_alone(alone.artifacts.folders.root / alone.export("onnx").identifier, rows)
    assert found.returncode == 2
    assert found.stderr.startswith(f"error: {rows}: column 'photo', row 2: ")
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_artifact_says_how_to_feed_it_images(mixed: Exports, file_format: str) -> None:
    artifact = mixed.export(file_format)
    names = {file.path for file in artifact.files}
    assert {"predict.py", "prediction_csv.py", "image_files.py", "README.md"} <= names
    readme = (mixed.artifacts.folders.root / artifact.identifier / "README.md").read_text(encoding="utf-8")
    assert "{{" not in readme
    packages = "onnxruntime tokenizers numpy pillow" if file_format == "onnx" else "torch numpy pillow"
    assert f"pip install {packages}\n" in readme
    assert "a cell of `photo` is the path of an image file" in readme
    assert "share a size" in readme
    if file_format == "torchscript":
        assert 'model.predict({"title": [...], "price": [...]}, 1, {"photo": pixels})' in readme


def test_the_call_in_the_torchscript_readme_works(mixed: Exports) -> None:
    module = load_torchscript(mixed.artifacts.folders.root / mixed.export("torchscript").identifier / "model.pt")
    pixels = torch.randint(0, 256, (2, 3, 50, 70), dtype=torch.uint8)
    assert module.predict({"title": ["a", ""], "price": ["1", ""]}, 1, {"photo": pixels})["kind"].shape[0] == 2
    with pytest.raises(torch.jit.Error, match="the pixels of column 'photo' are missing"):
        module.predict({"title": ["a"], "price": ["1"]})


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_head_only_export_takes_embeddings_of_images(mixed: Exports, tmp_path: Path, file_format: str) -> None:
    artifact = mixed.export(file_format, head_only=True)
    folder = mixed.artifacts.folders.root / artifact.identifier
    inputs = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))["inputs"]
    assert [item["name"] for item in inputs] == ["photo_embedding", "title_embedding", "price"]
    assert {file.path for file in artifact.files} & {"predict.py", "image_files.py"} == set()
    assert "## Images" not in (folder / "README.md").read_text(encoding="utf-8")
    rows = write_rows(tmp_path / "new", 6, seed=50)
    predictor = mixed.pool.get("", mixed.model)
    given = predictor.rows(read_rows(rows))
    vectors = [predictor.embeddings(name, given) for name in ("photo", "title")]
    prices = np.array([0, 1, 2, np.nan, 4, 5], np.float64)
    if file_format == "onnx":
        session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
        (found,) = session.run(["kind"], dict(zip([item["name"] for item in inputs], [*vectors, prices], strict=True)))
    else:
        tensors = [torch.from_numpy(values) for values in (*vectors, prices)]
        found = load_torchscript(folder / "model.pt")(tensors)[0].detach().numpy()
    np.testing.assert_allclose(found, live(mixed, rows), atol=1e-4)


def test_whole_images_of_any_size_come_close_to_the_live_model(alone: Exports, tmp_path: Path) -> None:
    folder = alone.artifacts.folders.root / alone.export("torchscript").identifier
    module = load_torchscript(folder / "model.pt")
    rows = write_rows(tmp_path / "new", 5, seed=70)
    files = [rows.parent / path for path in read_rows(rows).rows.column("photo").to_pylist()]
    images = [torch.from_numpy(np.asarray(Image.open(file)).copy()).permute(2, 0, 1) for file in files]
    found = np.concatenate([module([image[None]])[0].detach().numpy() for image in images])
    expected = live(alone, rows)
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert np.ptp(expected[:, 0]) > 0.05
