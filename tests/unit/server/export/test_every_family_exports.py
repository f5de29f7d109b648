"""Encoders of every kind leave in both formats and answer as the live model: masks, positions, decoders, T5."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import tiny_models
from tests.support.exports import trained

CASES = [("distilbert", "mean"), ("roberta", "max"), ("gpt2", "last"), ("t5", "mean")]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("families")
    tiny_models.save_all(root / "models")
    return root


@pytest.mark.parametrize("file_format", ["onnx", "torchscript"])
@pytest.mark.parametrize(("family", "reduction"), CASES)
def test_artifact_agrees_with_the_live_model(root: Path, family: str, reduction: str, file_format: str) -> None:
    artifact = trained(root, family, reduce_output=reduction).export(file_format)
    assert artifact.max_difference <= 1e-5
    assert {"README.md", "metadata.json", "parity.json", "tokenizers/0.json"} <= {file.path for file in artifact.files}
