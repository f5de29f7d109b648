"""How far a metric of some rows may be from that of all rows like them: the standard errors of means."""

import math

from torch import Tensor

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.training.metrics import in_units

_COUNTED = ("accuracy", "hits_at_k")
"""Shares of rows."""


def of_share(metric: str, value: float, rows: int) -> float | None:
    """Of a share of so many rows: sqrt(p (1 - p) / n); None for any other metric."""
    if not rows or metric not in _COUNTED:
        return None
    return math.sqrt(max(0.0, value * (1 - value)) / rows)


def of_errors(feature: FittedFeature, answers: Tensor, targets: Tensor) -> dict[str, float]:
    """Of the metrics of a number or a vector that are means over rows, by their names; of a root of one by the delta
    method. Empty for other outputs, and for fewer than two rows."""
    if feature.spec.type not in ("number", "vector") or len(targets) < 2:
        return {}
    predicted, truth = in_units(feature, answers, targets)
    errors = (predicted - truth).reshape(len(truth), -1)
    found = {
        "mean_squared_error": _of_mean(errors.square().mean(1)),
        "mean_absolute_error": _of_mean(errors.abs().mean(1)),
    }
    root = math.sqrt(float(errors.square().mean()))
    if feature.spec.type == "number" and root:
        found["root_mean_squared_error"] = found["mean_squared_error"] / (2 * root)
    return found


def _of_mean(values: Tensor) -> float:
    return float(values.std() / math.sqrt(len(values)))
