"""A server whose models answer in the fast arithmetic: how far that is from fp32 is told, and files answer alike."""

from __future__ import annotations

from pathlib import Path

import headstart
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.support import reviews
from tests.support.running_server import RunningServer

ROWS = reviews.make_rows(40, seed=3)
COLUMNS = reviews.columns(ROWS, "review", "price", "category")


def _answers(client: headstart.Client, model: str) -> np.ndarray:
    return np.array(client.predict(model, COLUMNS, embedding_reuse="none")["verdict"].probabilities)


def test_models_answer_in_bf16_and_tell_what_that_changes(tmp_path: Path, model_root: Path, data_root: Path) -> None:
    flags = ("--model-root", str(model_root), "--data-root", str(data_root), "--fast-precision", "bf16")
    with RunningServer(tmp_path / "state", *flags) as server, server.client() as client:
        model = client.train(reviews.spec(epochs=6), headstart.ServerPath("reviews.csv")).result().model
        exact = _answers(client, model)
        told = client.models.get(model).served_precision
        assert (told.precision, told.compared, told.rows) == ("fp32", "", 0)
    with RunningServer(tmp_path / "state", *flags, "--serving-precision", "auto") as server, server.client() as client:
        assert not client.models.get(model).HasField("served_precision")
        found = _answers(client, model)
        assert 1e-6 < np.abs(found - exact).max() < 0.05
        told = client.models.get(model).served_precision
        assert (told.precision, told.compared, told.rows, told.changed_answers) == ("bf16", "bf16", 64, 0)
        assert 0 < told.largest_difference < 0.05
        assert _written(client, model, tmp_path) == pytest.approx(found, abs=5e-3)
        # an artifact computes in fp32, and is not made where it differs from the live model by more than 1e-4
        assert client.export(model, "onnx", output_dir=tmp_path / "onnx").files


def _written(client: headstart.Client, model: str, folder: Path) -> np.ndarray:
    """The probabilities in a file of predictions."""
    reviews.write_csv(folder / "rows.csv", ROWS)
    exported = client.predict_to_file(model, folder / "rows.csv", probabilities=True, output_dir=folder / "predictions")
    table, classes = pq.read_table(exported.files[0]), client.models.get(model).outputs[0].classes
    return np.stack([table.column(f"verdict_probability_{name}") for name in classes], 1)
