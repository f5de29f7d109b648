"""The examples of docs/inference-protocol.md, and a model that they fit."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.support import reviews
from tests.support.running_server import RunningServer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "inference-protocol.md"


def recommending_model(server: RunningServer) -> str:
    """The id of a model as the README trains it: whether a review and a price make a recommendation."""
    rows = reviews.make_rows(60)
    spec = reviews.spec(epochs=1)
    spec["input_features"] = spec["input_features"][:2]
    spec["output_features"] = [{"name": "recommended", "type": "category"}]
    data = {**reviews.columns(rows, "review", "price"), "recommended": [row["watched"] for row in rows]}
    with server.client() as client:
        return str(client.train(spec, data).result().model).removeprefix("models/")


def example_output(holding: str, python: str, server: RunningServer, model: str) -> str:
    """What the example that holds a text prints."""
    [code] = [text for text in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if holding in text]
    code = code.replace("localhost:50051", server.address).replace("MODEL_ID", model)
    run = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=False, timeout=300, env=dict(os.environ)
    )
    assert run.returncode == 0, run.stderr[-4000:]
    return run.stdout
