"""Which metrics there are, by output type."""

_SMALLER_IS_BETTER = ("loss", "mean_squared_error", "mean_absolute_error", "root_mean_squared_error")


def smaller_is_better(metric: str) -> bool:
    """Whether an improvement lowers the metric."""
    return metric.rsplit(".", 1)[-1] in _SMALLER_IS_BETTER


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
