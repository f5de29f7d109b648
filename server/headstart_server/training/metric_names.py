"""Which metrics there are, by output type."""

import numpy as np
import numpy.typing as npt

_SMALLER_IS_BETTER = ("loss", "mean_squared_error", "mean_absolute_error", "root_mean_squared_error")


def smaller_is_better(metric: str) -> bool:
    """Whether an improvement lowers the metric."""
    return metric.rsplit(".", 1)[-1] in _SMALLER_IS_BETTER


def is_defined(metric: str, targets: npt.NDArray[np.generic]) -> bool:
    """Whether the targets of some rows, at least one, define a metric of an output.

    The area under a curve needs both classes, and there is no share of a variance that is nothing.
    """
    return metric not in ("roc_auc", "r2") or bool((targets != targets[0]).any())


def metric_names(feature_type: str) -> tuple[str, ...]:
    """Metrics of an output type, `loss` included."""
    return _NAMES[feature_type]


_NAMES = {
    "category": ("loss", "accuracy", "f1_macro", "hits_at_k"),
    "binary": ("loss", "accuracy", "precision", "recall", "f1", "roc_auc"),
    "number": ("loss", "mean_squared_error", "root_mean_squared_error", "mean_absolute_error", "r2"),
    "set": ("loss", "jaccard", "f1_macro"),
    "vector": ("loss", "mean_squared_error", "mean_absolute_error"),
}
