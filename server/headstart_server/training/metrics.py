"""Metrics of the output types, over a whole split at once: counts and sums, as torchmetrics defines them.

They are counted here: a process that imports torchmetrics imports all that it draws and listens with, which takes
seconds and hundreds of MiB in each worker (docs/decisions/0040-metrics-are-counted-here.md). Tests hold them to it.
"""

import torch
from torch import Tensor
from torch.nn import functional

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.features.number import NumberStatistics
from headstart_server.training.metric_names import is_defined


def metrics_of(feature: FittedFeature, answers: Tensor, targets: Tensor) -> dict[str, float]:
    """Metrics of one output over [n, ...] condensed answers and targets; numbers are in the data's units."""
    if len(targets) == 0:
        return {}
    found = _FUNCTIONS[feature.spec.type](feature, answers, targets)
    return {name: float(value) for name, value in found.items()}


def _category(feature: FittedFeature, ranked: Tensor, targets: Tensor) -> dict[str, Tensor]:
    classes, predicted = len(feature.classes), ranked[:, 0]
    hits = (ranked[:, 1:] == targets[:, None]).any(1).float().mean()
    return {
        "accuracy": (predicted == targets).float().mean(),
        "f1_macro": _f1_macro(predicted, targets, classes),
        "hits_at_k": hits,
    }


def _f1_macro(predicted: Tensor, targets: Tensor, classes: int) -> Tensor:
    """The mean F1 of the classes that occur among int [n] predictions or targets.

    Counted class by class: a confusion matrix takes classes * classes integers.
    """
    right = torch.bincount(targets[predicted == targets], minlength=classes)
    both = torch.bincount(predicted, minlength=classes) + torch.bincount(targets, minlength=classes)
    return (2 * right[both > 0] / both[both > 0]).mean()


def _binary(feature: FittedFeature, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
    scores, truth = logits.sigmoid(), targets.bool()
    predicted = scores > (feature.spec.decoder.threshold or 0.5)
    right, wrong, missed = _counts(predicted, truth)
    found = {
        "accuracy": (predicted == truth).float().mean(),
        "precision": _ratio(right, right + wrong),
        "recall": _ratio(right, right + missed),
        "f1": _ratio(2 * right, 2 * right + wrong + missed),
    }
    if is_defined("roc_auc", targets.long().numpy()):
        found["roc_auc"] = _roc_auc(scores, truth)
    return found


def _roc_auc(scores: Tensor, truth: Tensor) -> Tensor:
    """The part of all pairs of a positive and a negative row in which the positive has the higher score; equal scores
    count a half (Mann and Whitney, 1947)."""
    ordered = scores.sort().values
    first, end = torch.searchsorted(ordered, scores), torch.searchsorted(ordered, scores, right=True)
    ranks = (first + end + 1).double() / 2  # of equal scores, the mean of their ranks
    positives, negatives = int(truth.sum()), int((~truth).sum())
    return (ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives)


def _counts(predicted: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """True positives, false positives and false negatives, by column."""
    return (predicted & truth).sum(0), (predicted & ~truth).sum(0), (~predicted & truth).sum(0)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """0 where there is nothing to be a part of."""
    return part / whole.clamp(min=1)


def in_units(feature: FittedFeature, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Answers and targets of a number in the data's units, float64; those of a vector as they are."""
    statistics = feature.statistics
    if not isinstance(statistics, NumberStatistics):
        return logits.double(), targets.double()
    # float32 would lose the last digits of numbers that are far from 0 for their spread
    predicted, truth = (values.double() * statistics.scale + statistics.shift for values in (logits, targets))
    if statistics.normalization == "log1p":
        return predicted.expm1(), truth.expm1()
    return predicted, truth


def _number(feature: FittedFeature, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
    predicted, truth = in_units(feature, logits, targets)
    squared = functional.mse_loss(predicted, truth)
    found = {
        "mean_squared_error": squared,
        "root_mean_squared_error": squared.sqrt(),
        "mean_absolute_error": functional.l1_loss(predicted, truth),
    }
    if is_defined("r2", targets.numpy()):
        found["r2"] = 1 - squared / (truth - truth.mean()).square().mean()
    return found


def _set(feature: FittedFeature, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
    truth = targets.bool()
    right, wrong, missed = _counts(logits.sigmoid() > (feature.spec.decoder.threshold or 0.5), truth)
    return {
        "jaccard": _ratio(right.sum(), (right + wrong + missed).sum()),
        "f1_macro": _ratio(2 * right, 2 * right + wrong + missed).mean(),
    }


def _vector(_feature: FittedFeature, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
    return {
        "mean_squared_error": functional.mse_loss(logits, targets),
        "mean_absolute_error": functional.l1_loss(logits, targets),
    }


_FUNCTIONS = {"category": _category, "binary": _binary, "number": _number, "set": _set, "vector": _vector}
