"""The detailed evaluation of outputs: one function per type, over all rows of a part."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from headstart_server.data.features import number
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.features.number import NumberStatistics
from headstart_server.data.parts import Part
from headstart_server.training.output_evaluation import (
    CalibrationBin,
    ClassMetrics,
    ConfusionMatrix,
    NumberEvaluation,
    OutputEvaluation,
    RowEvaluation,
)

_CLASSES, _MATRIX, _BINS, _WORST, _POINTS, _NUMBERS = 1_000, 50, 10, 20, 500, 8
_THRESHOLD = 0.5
Text = Callable[[int], str]
"""Of the value at a place among the rows."""


def detailed(feature: FittedFeature, logits: Tensor, targets: Tensor) -> Tensor:
    """What `evaluated` needs of calibrated logits [n, ...] and targets [n, ...], float32 on the CPU.

    Of categories [n, 3]: the predicted class, its probability, and the loss. Of all others the logits.
    """
    if feature.spec.type != "category":
        return logits.cpu()
    logs, best = functional.log_softmax(logits, 1), logits.argmax(1)
    losses = functional.nll_loss(logs, targets, reduction="none")
    # float32 holds every class number: there are fewer than 2^24
    return torch.stack([best.float(), logs.gather(1, best[:, None])[:, 0].exp(), losses], 1).cpu()


def evaluated(feature: FittedFeature, part: Part, answers: Tensor, targets: Tensor, rows: Tensor) -> OutputEvaluation:
    """The evaluation of one output.

    Args:
        feature: The output.
        part: Of the data, which the rows belong to.
        answers: What `detailed` gives, [n, ...].
        targets: As the loss takes them, [n, ...].
        rows: Numbers of the rows in the job, int64 [n].
    """
    found = OutputEvaluation(feature.name, part, len(rows))
    order = rows.argsort()  # they come by length, and by process
    return _FUNCTIONS[feature.spec.type](found, feature, answers[order], targets[order], rows[order])


def _category(
    found: OutputEvaluation, feature: FittedFeature, answers: Tensor, targets: Tensor, rows: Tensor
) -> OutputEvaluation:
    labels, predicted, probabilities = feature.classes, answers[:, 0].long(), answers[:, 1]
    bins, error = _calibration(probabilities, predicted == targets) if len(labels) <= _CLASSES else ([], 0.0)
    worst = _worst(answers[:, 2], rows, lambda at: labels[int(targets[at])], lambda at: labels[int(predicted[at])])
    return replace(
        _by_class(found, labels, targets, predicted),
        calibration=bins,
        calibration_error=error,
        worst_rows=_with(worst, probabilities),
    )


def _binary(
    found: OutputEvaluation, feature: FittedFeature, logits: Tensor, targets: Tensor, rows: Tensor
) -> OutputEvaluation:
    labels, chances, truths = feature.classes, logits.sigmoid(), targets.long()
    predicted = (chances > (feature.spec.decoder.threshold or _THRESHOLD)).long()
    losses = functional.binary_cross_entropy_with_logits(logits, targets.float(), reduction="none")
    bins, error = _calibration(chances, truths == 1)
    worst = _worst(losses, rows, lambda at: labels[int(truths[at])], lambda at: labels[int(predicted[at])])
    return replace(
        _by_class(found, labels, truths, predicted),
        calibration=bins,
        calibration_error=error,
        worst_rows=_with(worst, torch.where(predicted == 1, chances, 1 - chances)),
    )


def _set(
    found: OutputEvaluation, feature: FittedFeature, logits: Tensor, targets: Tensor, rows: Tensor
) -> OutputEvaluation:
    labels, truths, chances = feature.classes, targets.bool(), logits.sigmoid()
    predicted = chances > (feature.spec.decoder.threshold or _THRESHOLD)
    losses = functional.binary_cross_entropy_with_logits(logits, targets.float(), reduction="none").mean(1)
    bins, error = _calibration(chances.flatten(), truths.flatten())

    def items(chosen: Tensor) -> str:
        return ", ".join(labels[index] for index in chosen.nonzero()[:, 0].tolist())

    worst = _worst(losses, rows, lambda at: items(truths[at]), lambda at: items(predicted[at]))
    return replace(
        found,
        classes=_classes(labels, truths.sum(0), predicted.sum(0), (truths & predicted).sum(0)),
        class_count=len(labels),
        calibration=bins,
        calibration_error=error,
        worst_rows=[row for row, _ in worst],
    )


def _number(
    found: OutputEvaluation, feature: FittedFeature, logits: Tensor, targets: Tensor, rows: Tensor
) -> OutputEvaluation:
    statistics = feature.statistics
    assert isinstance(statistics, NumberStatistics)
    predicted, truth = (torch.from_numpy(number.restore(each.numpy(), statistics)) for each in (logits, targets))
    errors = predicted - truth
    points = torch.linspace(0, len(rows) - 1, min(len(rows), _POINTS)).long()
    worst = _worst(errors.abs(), rows, lambda at: f"{truth[at]:.6g}", lambda at: f"{predicted[at]:.6g}")
    return replace(
        found,
        worst_rows=[row for row, _ in worst],
        number=NumberEvaluation(float(errors.mean()), truth[points].tolist(), predicted[points].tolist()),
    )


def _vector(
    found: OutputEvaluation, feature: FittedFeature, logits: Tensor, targets: Tensor, rows: Tensor
) -> OutputEvaluation:
    def shown(values: Tensor) -> str:
        more = ", ..." if len(values) > _NUMBERS else ""
        return f"[{', '.join(f'{value:.4g}' for value in values[:_NUMBERS].tolist())}{more}]"

    losses = functional.mse_loss(logits, targets, reduction="none").mean(1)
    worst = _worst(losses, rows, lambda at: shown(targets[at]), lambda at: shown(logits[at]))
    return replace(found, worst_rows=[row for row, _ in worst])


_FUNCTIONS: dict[str, Callable[[OutputEvaluation, FittedFeature, Tensor, Tensor, Tensor], OutputEvaluation]] = {
    "category": _category,
    "binary": _binary,
    "set": _set,
    "number": _number,
    "vector": _vector,
}


def _worst(losses: Tensor, rows: Tensor, target: Text, predicted: Text) -> list[tuple[RowEvaluation, int]]:
    """The rows of the largest losses, largest first and of equal ones the first, each with its place."""
    places: list[int] = losses.sort(descending=True, stable=True).indices[:_WORST].tolist()
    return [(RowEvaluation(int(rows[at]), float(losses[at]), target(at), predicted(at)), at) for at in places]


def _with(worst: list[tuple[RowEvaluation, int]], probabilities: Tensor) -> list[RowEvaluation]:
    return [replace(row, probability=float(probabilities[at])) for row, at in worst]


def _by_class(found: OutputEvaluation, labels: Sequence[str], targets: Tensor, predicted: Tensor) -> OutputEvaluation:
    """With what is counted of rows that have one class each."""
    count = len(labels)
    true, said = (torch.bincount(values, minlength=count) for values in (targets, predicted))
    right = torch.bincount(targets[predicted == targets], minlength=count)
    return replace(
        found,
        classes=_classes(labels, true, said, right),
        class_count=count,
        confusion_matrix=_confusion(labels, targets, predicted, _ranked(true, said)[:_MATRIX]),
    )


def _ranked(true: Tensor, predicted: Tensor) -> list[int]:
    """Classes by rows, then by predictions, then by their order."""
    rows, predictions = true.tolist(), predicted.tolist()
    return sorted(range(len(rows)), key=lambda index: (-rows[index], -predictions[index]))


def _classes(labels: Sequence[str], true: Tensor, predicted: Tensor, right: Tensor) -> list[ClassMetrics]:
    """Of the most frequent classes, from counts by class [classes]."""
    found = []
    for index in _ranked(true, predicted)[:_CLASSES]:
        rows, said, hits = int(true[index]), int(predicted[index]), int(right[index])
        precision, recall = hits / said if said else 0.0, hits / rows if rows else 0.0
        f1 = 2 * hits / (rows + said) if rows + said else 0.0
        found.append(ClassMetrics(labels[index], rows, said, precision, recall, f1))
    return found


def _confusion(labels: Sequence[str], targets: Tensor, predicted: Tensor, kept: Sequence[int]) -> ConfusionMatrix:
    """Over the kept classes; all others are one more."""
    names = [labels[index] for index in kept] + ([""] if len(labels) > len(kept) else [])
    places = torch.full((len(labels),), len(kept), dtype=torch.int64)
    places[torch.tensor(kept, dtype=torch.int64)] = torch.arange(len(kept))
    cells = places[targets] * len(names) + places[predicted]
    return ConfusionMatrix(names, torch.bincount(cells, minlength=len(names) ** 2).tolist())


def _calibration(probabilities: Tensor, right: Tensor) -> tuple[list[CalibrationBin], float]:
    """Ten bins of equal width, and the expected calibration error (Naeini et al. 2015, AAAI)."""
    bounds = torch.arange(1, _BINS) / _BINS
    places = torch.bucketize(probabilities.contiguous(), bounds)  # a bound belongs to the bin below it
    counts: list[int] = torch.bincount(places, minlength=_BINS).tolist()
    sums, rights = (
        torch.zeros(_BINS, dtype=torch.float64).index_add(0, places, values.double()).tolist()
        for values in (probabilities, right)
    )
    bins = [
        CalibrationBin(index / _BINS, (index + 1) / _BINS, count, total / max(1, count), hits / max(1, count))
        for index, (count, total, hits) in enumerate(zip(counts, sums, rights, strict=True))
    ]
    distances = [each.predictions * abs(each.mean_probability - each.accuracy) for each in bins]
    return bins, sum(distances) / max(1, len(probabilities))
