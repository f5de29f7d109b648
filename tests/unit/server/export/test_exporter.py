"""An export holds what it needs once it has begun, and its files name nothing of the machine that made them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from headstart_server.core.errors import NotFoundError
from headstart_server.data.tables import table_of_arrow
from headstart_server.export.torchscript import load_torchscript
from headstart_server.serving.inputs import Reuse

from tests.support import tiny_models
from tests.support.exports import Exports, trained

FORMATS = ["onnx", "torchscript"]
REPOSITORY = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("exporter")
    tiny_models.save_bert(root / "models" / "bert")
    return root


@pytest.fixture(scope="module")
def exports(root: Path) -> Exports:
    return trained(root, "bert")


@pytest.mark.parametrize("file_format", FORMATS)
def test_no_file_of_an_artifact_holds_a_path_of_this_machine(root: Path, exports: Exports, file_format: str) -> None:
    artifact = exports.export(file_format)
    own = [str(path).encode() for path in (root, REPOSITORY, Path.home(), Path(torch.__file__).parent)]
    for file in artifact.files:
        content = (exports.artifacts.folders.root / artifact.identifier / file.path).read_bytes()
        assert not [path for path in own if path in content], file.path
        assert b'File "' not in content and b"site-packages" not in content, file.path


@pytest.mark.parametrize("file_format", FORMATS)
def test_single_rows_of_every_short_length_are_checked(exports: Exports, file_format: str) -> None:
    folder = exports.artifacts.folders.root / exports.export(file_format).identifier
    cases = {check["case"] for check in json.loads((folder / "parity.json").read_text())["checks"]}
    assert {f"one row of {length} tokens" for length in range(2, 10)} | {"one row beyond the limit"} <= cases


def test_an_error_of_the_torchscript_model_tells_the_cell_and_no_path(exports: Exports) -> None:
    model = load_torchscript(exports.artifacts.folders.root / exports.export("torchscript").identifier / "model.pt")
    with pytest.raises(torch.jit.Error, match="column 'price', row 12: 'cheap' is no finite number") as caught:
        model.predict({"review": ["a", "b"], "price": ["1", "cheap"], "category": ["", ""]}, 11)
    assert str(REPOSITORY) not in str(caught.value)


def test_numbers_out_of_the_ordinary_are_read_as_the_live_model_reads_them(exports: Exports) -> None:
    columns = {
        "review": ["a", "b", "c", "d"],
        "price": ["1e300", "-1e300", "16777217.5", "1e-310"],
        "category": ["", "", "", ""],
    }
    model = load_torchscript(exports.artifacts.folders.root / exports.export("torchscript").identifier / "model.pt")
    predictor = exports.pool.get("", exports.model)
    live = predictor.predict(predictor.rows(table_of_arrow(pa.table(columns), "rows")), Reuse.NONE).outputs["verdict"]
    found = model.predict(columns)["verdict"].detach().numpy()
    np.testing.assert_allclose(found, live, atol=1e-5)
    assert np.isfinite(live).all()


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_model_deleted_while_it_is_exported_leaves_a_whole_artifact(root: Path, file_format: str) -> None:
    exports = trained(root, "bert", trainable=True)

    def delete(stage: str, _: str) -> None:
        if stage == "trace":
            exports.models.delete(exports.model)

    artifact = exports.export(file_format, delete)
    assert artifact.max_difference <= 1e-5
    assert exports.artifacts.get(artifact.identifier) == artifact


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_adapter_is_merged_into_the_graph(root: Path, file_format: str) -> None:
    exports = trained(root, "bert", trainable=True, adapter={"type": "lora", "r": 2})
    artifact = exports.export(file_format)
    assert artifact.max_difference <= 1e-5
    for file in artifact.files:
        assert b"lora_A" not in (exports.artifacts.folders.root / artifact.identifier / file.path).read_bytes()


@pytest.mark.parametrize("half", [False, True])
def test_a_model_deleted_before_it_is_loaded_is_not_found(root: Path, half: bool) -> None:
    exports = trained(root, "bert", trainable=True)
    folder = exports.models.get(exports.model).folder

    def delete(stage: str, _: str) -> None:
        if half:
            shutil.rmtree(folder / "encoders")
        exports.models.delete(exports.model)

    with pytest.raises(NotFoundError, match=f"models/{exports.model} was deleted"):
        exports.export("onnx", delete)
    assert exports.artifacts.find(exports.model, "onnx", head_only=False) is None


def test_files_that_are_missing_though_nobody_deleted_the_model_are_not_called_deleted(root: Path) -> None:
    exports = trained(root, "bert", trainable=True)
    folder = exports.models.get(exports.model).folder
    with pytest.raises(Exception, match="damaged"):
        exports.export("onnx", lambda *_: shutil.rmtree(folder / "encoders", ignore_errors=True))


def test_weights_too_large_for_one_onnx_file_lie_beside_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.onnx._internal.exporter._onnx_program._LARGE_MODEL_THRESHOLD", 1_000)
    exports = trained(root, "bert")
    artifact = exports.export("onnx")
    assert "model.onnx.data" in {file.path for file in artifact.files}
    moved = shutil.copytree(exports.artifacts.folders.root / artifact.identifier, tmp_path / "elsewhere")
    assert "`model.onnx.data`, which belongs beside it" in (moved / "README.md").read_text()
    rows = "review,price,category\na fine film,1.5,\n"
    (moved / "rows.csv").write_text(rows)
    found = subprocess.run(
        [sys.executable, "predict.py", "rows.csv"], cwd=moved, capture_output=True, text=True, check=True
    )
    assert len(found.stdout.splitlines()) == 2
