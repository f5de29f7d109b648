"""Losses of the output types."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from headstart_server.data.features.binary import BinaryStatistics
from headstart_server.data.features.category import CategoryStatistics
from headstart_server.data.features.fitted import FittedFeature

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""(logits, targets) to a scalar mean over rows, already times the output's weight."""

_REGRESSION: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean_squared_error": functional.mse_loss,
    "mean_absolute_error": functional.l1_loss,
    "huber": functional.huber_loss,
}


@dataclass(frozen=True)
class Loss:
    """The loss of one output."""

    mean: LossFunction
    class_weights: Tensor | None = None
    """By class, where rows do not all count alike."""
    positive_weight: float = 1.0
    """Of the term of a binary output's true rows."""
    plain: bool = False
    """Whether it is the cross-entropy of categories and nothing else."""

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """A scalar: the mean over rows, times the output's weight."""
        return self.mean(logits, targets)

    def with_gradient(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and its gradient by the logits."""
        if not self.plain:
            with torch.enable_grad():
                watched = logits.detach().requires_grad_()
                loss = self(watched, targets)
                return loss.detach(), torch.autograd.grad(loss, watched)[0]
        logarithms = functional.log_softmax(logits, 1)
        # softmax minus one at the class, over the number of rows
        gradient, count = logarithms.exp(), targets.shape[0]
        gradient.scatter_add_(1, targets[:, None], gradient.new_full((1, 1), -1.0).expand(count, 1))
        return functional.nll_loss(logarithms, targets), gradient.div_(count)

    def mass(self, targets: Tensor) -> float:
        """What the mean divides by: the number of rows, or the sum of their classes' weights."""
        return float(len(targets) if self.class_weights is None else self.class_weights[targets].sum())

    def row_weights(self, targets: npt.NDArray[Any]) -> npt.NDArray[np.float64] | None:
        """How much each row of a category's or binary output's targets [n] counts; None where all count alike."""
        if self.class_weights is not None:
            weights: npt.NDArray[np.float64] = self.class_weights.double().cpu().numpy()[targets]
            return weights
        return np.where(targets > 0, self.positive_weight, 1.0) if self.positive_weight != 1.0 else None


def build_loss(feature: FittedFeature, device: torch.device, targets: npt.NDArray[Any] | None = None) -> Loss:
    """The loss of one output. Classes that are to be balanced are by the `targets` [n] of the training rows; without
    them by those that the feature was fitted on, which may be another job's, and do not count filled cells."""
    classes = None
    if isinstance(feature.statistics, CategoryStatistics):
        classes = _class_weights(feature, feature.statistics, targets)
        classes = classes.to(device) if classes is not None else None
    positive = 1.0
    if isinstance(feature.statistics, BinaryStatistics):
        positive = _positive_weight(feature, feature.statistics, targets)
    loss, weight = _mean_loss(feature, device, classes, positive), feature.spec.loss.weight
    if weight is None or weight == 1.0:  # an operation less at every step
        smoothed = bool(feature.spec.loss.label_smoothing)
        plain = isinstance(feature.statistics, CategoryStatistics) and classes is None and not smoothed
        return Loss(loss, classes, positive, plain)
    return Loss(lambda logits, target: weight * loss(logits, target), classes, positive)


def _mean_loss(feature: FittedFeature, device: torch.device, weights: Tensor | None, positive: float) -> LossFunction:
    spec = feature.spec.loss
    match feature.statistics:
        case CategoryStatistics():
            smoothing = spec.label_smoothing or 0.0
            # with class weights torch's mean divides by those of the targets, the smoothed part included: see `mass`
            return lambda logits, target: functional.cross_entropy(
                logits.float(), target, weight=weights, label_smoothing=smoothing
            )
        case BinaryStatistics():
            tensor = torch.tensor(positive, device=device) if positive != 1.0 else None
            # `pos_weight` weighs a term, not a row: the mean stays that over rows, which `mass` counts
            return lambda logits, target: functional.binary_cross_entropy_with_logits(
                logits.float(), target, pos_weight=tensor
            )
        case _ if feature.spec.type == "set":
            return lambda logits, target: functional.binary_cross_entropy_with_logits(logits.float(), target.float())
        case _:
            function = _REGRESSION[spec.type or "mean_squared_error"]
            if spec.type == "huber" and spec.delta is not None:
                function = partial(functional.huber_loss, delta=spec.delta)
            return lambda logits, target: function(logits.float(), target)


def _class_weights(
    feature: FittedFeature, statistics: CategoryStatistics, targets: npt.NDArray[Any] | None
) -> Tensor | None:
    given = feature.spec.loss.class_weights
    if given:
        return torch.tensor([given.get(label, 1.0) for label in statistics.vocabulary])
    if feature.spec.loss.balance_classes:
        classes = len(statistics.vocabulary)
        found = statistics.counts if targets is None else np.bincount(targets, minlength=classes)
        counts = torch.tensor(found, dtype=torch.float32)
        # as scikit-learn's `balanced`; what no row has weighs nothing in any case
        return counts.sum() / ((counts > 0).sum() * counts.clamp(min=1.0))
    return None


def _positive_weight(feature: FittedFeature, statistics: BinaryStatistics, targets: npt.NDArray[Any] | None) -> float:
    if feature.spec.loss.balance_classes:
        rate = statistics.positive_rate if targets is None else float(np.mean(targets))
        return (1 - rate) / rate if 0 < rate < 1 else 1.0
    return feature.spec.loss.positive_class_weight or 1.0
