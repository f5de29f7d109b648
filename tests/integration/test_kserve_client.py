"""KServe's own client, unchanged, against a real server: every answer is the one that Predict gives."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import headstart
import numpy as np
import pytest

from tests.support import reviews
from tests.support.page_examples import example_output, recommending_model
from tests.support.running_server import RunningServer

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / "build" / "kserve" / "bin" / "python"
CALLER = ROOT / "tests" / "support" / "kserve_caller.py"
ROWS = reviews.make_rows(12, seed=5)
pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="KServe's client is not installed (make test-kserve)")


@pytest.fixture(scope="module")
def model(server: RunningServer) -> str:
    with server.client() as client:
        found = client.train(reviews.spec(epochs=1), headstart.ServerPath("reviews.csv")).result().model
    assert isinstance(found, str)
    return found


@pytest.fixture(scope="module")
def told(server: RunningServer, model: str) -> dict[str, Any]:
    """What the client was answered."""
    columns = [
        ("review", "BYTES", [row["review"] for row in ROWS]),
        ("price", "FP64", [float(row["price"]) for row in ROWS]),
        ("category", "BYTES", [row["category"] for row in ROWS]),
    ]
    asked = {"address": server.address, "model": model.removeprefix("models/"), "columns": columns}
    run = subprocess.run(
        [str(PYTHON), str(CALLER)], input=json.dumps(asked), capture_output=True, text=True, check=False, timeout=300
    )
    assert run.returncode == 0, run.stderr[-4000:]
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def test_server_and_model_are_there(told: dict[str, Any]) -> None:
    assert (told["live"], told["ready"], told["model"]) == (True, True, True)


def test_raw_and_typed_inputs_are_answered_as_predict_does(
    server: RunningServer, model: str, told: dict[str, Any]
) -> None:
    with server.client() as client:
        predicted = client.predict(model, reviews.columns(ROWS, "review", "price", "category"))["verdict"]
    for kind in ("raw", "typed"):
        assert (told[kind]["id"], told[kind]["verdict"]) == (kind, list(predicted.values))
        np.testing.assert_allclose(told[kind]["verdict.probabilities"], predicted.probabilities, atol=1e-5)
    labels = [text.split(":")[2] for text in told["classified"]["verdict"]]
    assert (labels, list(told["classified"])) == (list(predicted.values), ["verdict"])


def test_a_mistake_is_named(told: dict[str, Any]) -> None:
    code, details = told["refused"]
    assert code == "INVALID_ARGUMENT" and "'price' is missing; send it, too" in details


def test_the_example_of_the_page_runs(server: RunningServer) -> None:
    printed = example_output("kserve", str(PYTHON), server, recommending_model(server))
    assert "'recommended': array([b'" in printed and "'recommended.probabilities'" in printed
