"""Which choices of a suggested spec are left to be measured: a sweep over embeddings that are stored once."""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

from headstart_server.data.features.fitted import PRETRAINED
from headstart_server.suggestion.columns import Finding

DEFAULT_SECONDS = 60.0
_LEAST_ROWS = 50
"""Below which no figure tells heads apart."""
_FOLDS = ((3_000, 5), (20_000, 3))
"""Up to how many rows trials are compared by how many folds; of more, validation rows are enough."""
_MOST_NEIGHBORS, _MOST_CLASSES = 100_000, 20
"""Rows up to which neighbours are looked for, and labels up to which trees are grown: a tree a label in every round."""
_MOST_INPUTS = 2
"""Of texts and images, each with and without."""


def sweep_of(inputs: Sequence[Finding], outputs: Sequence[Finding], rows: int, seconds: float) -> dict[str, Any]:
    """The section of the spec; empty where nothing is to be measured."""
    if not seconds or rows < _LEAST_ROWS:
        return {}
    parameters: dict[str, list[Any]] = {"model_type": _heads(outputs, rows)}
    read = [index for index, finding in enumerate(inputs) if finding.type in PRETRAINED]
    if len(read) <= _MOST_INPUTS and len(inputs) > 1:
        parameters |= {f"input_features[{index}].active": [True, False] for index in read}
    folds = next((count for most, count in _FOLDS if rows <= most), None)
    return {
        "search": "grid",
        "seconds": seconds,
        **({"folds": folds} if folds else {}),
        "parameters": parameters,
    }


def evidence_of(sweep: Mapping[str, Any]) -> str:
    """What the sweep measures, in words."""
    inputs = [path for path in sweep["parameters"] if path != "model_type"]
    without = f", with and without {len(inputs)} of the inputs" if inputs else ""
    holds = (
        " A model of knn holds the rows that it was trained on: leave knn out where whoever gets the model may not see "
        "them."
        if "knn" in sweep["parameters"]["model_type"]
        else ""
    )
    folds = f", by {sweep['folds']} folds of the rows" if "folds" in sweep else ""
    return (
        f"sweep: which head learns best from the stored embeddings{without}, is measured{folds}, for "
        f"{sweep['seconds']:g} s after the rows are encoded; the best is published. Without this section, layers are "
        f"trained (model_type: ecd).{holds}"
    )


def _heads(outputs: Sequence[Finding], rows: int) -> list[str]:
    found = ["ecd", "ridge"]
    trees = importlib.util.find_spec("lightgbm") is not None
    if trees and all(each.type != "category" or each.profile.distinct <= _MOST_CLASSES for each in outputs):
        found.append("gbm")
    return [*found, "knn"] if rows <= _MOST_NEIGHBORS else found
