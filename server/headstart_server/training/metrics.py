"""Metrics of the output types, by torchmetrics, over a whole split at once."""

import warnings

import torch
from torch import Tensor
from torchmetrics.functional import (
    mean_absolute_error,
    mean_squared_error,
    r2_score,
)
from torchmetrics.functional.classification import (
    binary_accuracy,
    binary_auroc,
    binary_f1_score,
    binary_jaccard_index,
    binary_precision,
    binary_recall,
    multiclass_accuracy,
    multilabel_f1_score,
    multilabel_jaccard_index,
)

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.features.number import NumberStatistics
from headstart_server.training.metric_names import is_defined


def metrics_of(feature: FittedFeature, answers: Tensor, targets: Tensor) -> dict[str, float]:
    """Metrics of one output over [n, ...] condensed answers and targets; numbers are in the data's units."""
    if len(targets) == 0:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # torchmetrics warns of splits without positives; the value says so
        found = _FUNCTIONS[feature.spec.type](feature, answers, targets)
    return {name: float(value) for name, value in found.items()}


def _category(feature: FittedFeature, ranked: Tensor, targets: Tensor) -> dict[str, Tensor]:
    classes, predicted = len(feature.classes), ranked[:, 0]
    hits = (ranked[:, 1:] == targets[:, None]).any(1).float().mean()
    return {
        "accuracy": multiclass_accuracy(predicted, targets, classes, average="micro", validate_args=False),
        "f1_macro": _f1_macro(predicted, targets, classes),
        "hits_at_k": hits,
    }


def _f1_macro(predicted: Tensor, targets: Tensor, classes: int) -> Tensor:
    """The mean F1 of the classes that occur among int [n] predictions or targets.

    Counted class by class: torchmetrics and scikit-learn's confusion matrices take classes * classes integers.
    """
    right = torch.bincount(targets[predicted == targets], minlength=classes)
    both = torch.bincount(predicted, minlength=classes) + torch.bincount(targets, minlength=classes)
    return (2 * right[both > 0] / both[both > 0]).mean()


def _binary(feature: FittedFeature, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
    # torchmetrics applies a sigmoid by itself, but only where some value lies outside of [0, 1]: what it makes of
    # a row would depend on the others
    scores, truth = logits.sigmoid(), targets.long()
    threshold = feature.spec.decoder.threshold or 0.5
    found = {
        "accuracy": binary_accuracy(scores, truth, threshold, validate_args=False),
        "precision": binary_precision(scores, truth, threshold, validate_args=False),
        "recall": binary_recall(scores, truth, threshold, validate_args=False),
        "f1": binary_f1_score(scores, truth, threshold, validate_args=False),
    }
    if is_defined("roc_auc", truth.numpy()):
        found["roc_auc"] = binary_auroc(scores, truth, validate_args=False)
    return found


def _number(feature: FittedFeature, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
    statistics = feature.statistics
    assert isinstance(statistics, NumberStatistics)
    # float32 would lose the last digits of numbers that are far from 0 for their spread
    predicted, truth = (values.double() * statistics.scale + statistics.shift for values in (logits, targets))
    if statistics.normalization == "log1p":
        predicted, truth = predicted.expm1(), truth.expm1()
    squared = mean_squared_error(predicted, truth)
    found = {
        "mean_squared_error": squared,
        "root_mean_squared_error": squared.sqrt(),
        "mean_absolute_error": mean_absolute_error(predicted, truth),
    }
    if is_defined("r2", targets.numpy()):
        found["r2"] = r2_score(predicted, truth)
    return found


def _set(feature: FittedFeature, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
    threshold, labels = feature.spec.decoder.threshold or 0.5, len(feature.classes)
    scores, truth = logits.sigmoid(), targets.long()
    if labels == 1:  # torchmetrics' multilabel functions are for two labels or more
        return {
            "jaccard": binary_jaccard_index(scores, truth, threshold, validate_args=False),
            "f1_macro": binary_f1_score(scores, truth, threshold, validate_args=False),
        }
    return {
        "jaccard": multilabel_jaccard_index(scores, truth, labels, threshold, average="micro", validate_args=False),
        "f1_macro": multilabel_f1_score(scores, truth, labels, threshold, average="macro", validate_args=False),
    }


def _vector(_feature: FittedFeature, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
    return {
        "mean_squared_error": torch.nn.functional.mse_loss(logits, targets),
        "mean_absolute_error": torch.nn.functional.l1_loss(logits, targets),
    }


_FUNCTIONS = {"category": _category, "binary": _binary, "number": _number, "set": _set, "vector": _vector}
