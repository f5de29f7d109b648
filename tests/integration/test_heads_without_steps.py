"""Heads that take no steps, from the spec to the artifact, on the embeddings of a real encoder's shape."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support import reviews
from tests.support.running_server import RunningServer
from tests.support.tiny_models import save_bert

_ALONE = "import sys; sys.modules['lightgbm'] = None; import runpy; sys.argv = ['predict.py', 'rows.csv']; "
_ALONE += "runpy.run_path('predict.py', run_name='__main__')"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> RunningServer:
    root = tmp_path_factory.mktemp("heads")
    save_bert(root / "models" / "tiny-bert")
    return RunningServer(root / "state", "--model-root", str(root / "models"))


_TREES = {"epochs": 30, "learning_rate": 0.2}


@pytest.mark.parametrize(
    ("model_type", "trainer", "evaluated"), [("gbm", _TREES, [10, 20, 30]), ("ridge", {}, [1]), ("knn", {}, [1])]
)
def test_a_head_is_trained_served_and_exported(
    server: RunningServer, tmp_path: Path, model_type: str, trainer: dict[str, float], evaluated: list[int]
) -> None:
    spec = {
        "model_type": model_type,
        "input_features": [
            {"name": "review", "type": "text", "encoder": {"pretrained_model_name_or_path": "tiny-bert"}},
            {"name": "price", "type": "number"},
            {"name": "category", "type": "category"},
        ],
        "output_features": [{"name": "verdict", "type": "category"}],
        "trainer": trainer,
    }
    reviews.write_csv(tmp_path / "reviews.csv", reviews.make_rows(300))
    with server, server.client() as client:
        run = client.train(spec, tmp_path / "reviews.csv")
        epochs = [event.epoch_finished for event in run if event.WhichOneof("event") == "epoch_finished"]
        job = run.result()
        assert [epoch.epoch for epoch in epochs] == evaluated[: len(epochs)]
        resolved = {item.path: item.value for item in job.resolved_values}
        assert resolved["input_features[2].encoder.type"].string_value == "onehot"
        assert ("trainer.boosting.num_leaves" in resolved) == (model_type == "gbm")
        categories = ["drama", "comedy", "never seen"]
        rows = {"review": ["lovely", "broken and late", "fine"], "price": [3.5, 9.0, None], "category": categories}
        answer = client.predict(job.model, rows)["verdict"]
        for file_format in ("onnx", "torchscript"):
            folder = tmp_path / file_format
            exported = client.export(job.model, file_format, output_dir=folder)
            assert exported.artifact.max_difference < 1e-5
            lines = ["review,price,category", "lovely,3.5,drama", "broken and late,9.0,comedy", "fine,,never seen", ""]
            (folder / "rows.csv").write_text("\n".join(lines))
            done = subprocess.run(
                [sys.executable, "-c", _ALONE], cwd=folder, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            header, *lines = done.stdout.splitlines()
            columns = [header.split(",").index(f"verdict_probability_{label}") for label in answer.classes]
            found = np.array([[float(line.split(",")[column]) for column in columns] for line in lines])
            assert np.abs(found - np.asarray(answer.probabilities)).max() < 1e-5
