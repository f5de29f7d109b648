"""A model with every type of column, its rows as Triton's users have them, and what its answers have to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.support import reviews
from tests.support.running_server import RunningServer

ROWS = reviews.make_rows(24, seed=7)
TYPES = {"review": "BYTES", "price": "FP64", "category": "BYTES", "watched": "BOOL", "tags": "BYTES", "point": "FP32"}
ANSWERED = {
    "verdict": "category",
    "score": "number",
    "labels": "set",
    "liked": "binary",
    "truth": "binary",
    "place": "vector",
}


def training_rows(count: int, seed: int) -> dict[str, list[str]]:
    """Columns of every type to learn from."""
    rows = reviews.make_rows(count, seed)
    columns = reviews.columns(rows, *rows[0])
    truths = [str(row["watched"] == "yes").lower() for row in rows]
    again = {"labels": columns["tags"], "liked": columns["watched"], "truth": truths, "place": columns["point"]}
    return {**columns, **again}


def training_spec() -> dict[str, Any]:
    """Inputs and outputs of every type."""
    spec = reviews.spec(epochs=1)
    filled = {"price": {"preprocessing": {"missing_value_strategy": "fill_with_mean"}}}
    others = {"price": "number", "category": "category", "watched": "binary", "tags": "set", "point": "vector"}
    spec["input_features"][1:] = [{"name": name, "type": kind, **filled.get(name, {})} for name, kind in others.items()]
    spec["output_features"] = [{"name": name, "type": kind} for name, kind in ANSWERED.items()]
    return spec


@dataclass(frozen=True)
class Place:
    """A server with a model of every type of column."""

    server: RunningServer
    model: str

    @property
    def name(self) -> str:
        """The model's name in the protocol."""
        return self.model.removeprefix("models/")

    def predicted(self, rows: list[reviews.Row] = ROWS) -> Any:
        """What Predict answers."""
        with self.server.client() as client:
            return client.predict(self.model, reviews.columns(rows, *TYPES))


def arrays(rows: list[reviews.Row] = ROWS) -> dict[str, Any]:
    """The columns as Triton's users have them."""
    texts = {name: np.array([row[name] for row in rows], np.object_) for name in ("review", "category", "tags")}
    return {
        **texts,
        "price": np.array([float(row["price"]) for row in rows]),
        "watched": np.array([row["watched"] == "yes" for row in rows]),
        "point": np.array([row["point"].split() for row in rows], np.float32),
    }


def inputs(given: dict[str, Any], library: Any) -> list[Any]:
    """The columns as tensors."""
    found = []
    for name, values in given.items():
        datatype = {"f": f"FP{values.dtype.itemsize * 8}", "i": "INT32", "b": "BOOL"}.get(values.dtype.kind, "BYTES")
        tensor = library.InferInput(name, list(values.shape), datatype)
        tensor.set_data_from_numpy(values)
        found.append(tensor)
    return found


def agrees(result: Any, predicted: Any) -> None:
    """Every output of an answer is what Predict answers."""
    for name, output in predicted.outputs.items():
        found = result.as_numpy(name)
        if ANSWERED[name] in ("number", "vector"):
            np.testing.assert_allclose(found, output.values, rtol=1e-5, atol=1e-6)
        elif found.dtype == np.bool_:
            assert found.tolist() == list(output.values)
        else:
            joined = [" ".join(item) if isinstance(item, list) else item for item in output.values]
            assert [item.decode() for item in found.tolist()] == joined
        if output.classes:
            probabilities = result.as_numpy(f"{name}.probabilities")
            np.testing.assert_allclose(probabilities, output.probabilities, atol=1e-5)
