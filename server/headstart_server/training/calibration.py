"""Temperature scaling: one number per classifier that makes its probabilities honest.

Source: Guo et al. 2017, arXiv:1706.04599.
"""

import torch
from torch import Tensor
from torch.nn import functional

_LOW, _HIGH = 0.05, 20.0
_LEAST_ROWS, _FOLDS = 20, 5
_MOST_VALUES = 10_000_000


def temperature_that_helps(logits: Tensor, targets: Tensor) -> float:
    """The temperature of `fit_temperature` where it makes rows likelier that it was not fitted on, else 1.0.

    Each of five folds of the rows is judged at the temperature that the others give. The gain in log-likelihood, row by
    row, must be above its standard error: few rows of many classes say too little of how sure a model may be.
    """
    if len(targets) < _LEAST_ROWS:
        return 1.0
    # interleaved: rows may come sorted by the length of their texts, and folds of neighbours would not be alike
    fold = torch.arange(len(targets), device=targets.device) % _FOLDS
    gains = torch.empty(len(targets), dtype=torch.float64)
    for number in range(_FOLDS):
        held = fold == number
        temperature = fit_temperature(logits[~held], targets[~held])
        judged = logits[held].double()
        gain = _losses(judged, targets[held]) - _losses(judged / temperature, targets[held])
        gains[held.cpu()] = gain.cpu()
    if gains.mean() <= gains.std() / len(gains) ** 0.5:
        return 1.0
    return fit_temperature(logits, targets)


def rows_to_fit(classes: int) -> int:
    """How many rows of so many classes a temperature is fitted to at most: those of 10 million logits."""
    return max(_LEAST_ROWS, _MOST_VALUES // max(1, classes))


def _losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood of each row [n]."""
    if logits.ndim == 2:
        return functional.cross_entropy(logits, targets, reduction="none")
    return functional.binary_cross_entropy_with_logits(logits, targets.double(), reduction="none")


def fit_temperature(logits: Tensor, targets: Tensor) -> float:
    """The temperature that minimises the negative log-likelihood of validation rows.

    `logits` is [n, classes] with int targets, or [n] with targets 0 and 1. The loss is convex in 1 / temperature, so a
    golden-section search over its logarithm finds it. Targets are smoothed by 1 / (n + classes), as Platt did, so that
    a model without mistakes on few rows is not taken for one that makes none. Returns 1.0 for fewer than 10 rows.
    """
    if len(targets) < 10:
        return 1.0
    logits = logits.double()
    classes = logits.shape[1] if logits.ndim == 2 else 2
    # torch divides it among the classes: each gets 1 / (n + classes)
    smoothing = classes / (len(targets) + classes)

    def loss(exponent: float) -> float:
        scaled = logits / torch.tensor(exponent).exp()
        if logits.ndim == 2:
            return float(functional.cross_entropy(scaled, targets, label_smoothing=smoothing))
        smoothed = targets.double() * (1 - smoothing) + smoothing / 2
        return float(functional.binary_cross_entropy_with_logits(scaled, smoothed))

    low, high = torch.tensor([_LOW, _HIGH]).log().tolist()
    ratio = (5**0.5 - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > 1e-3:  # of the logarithm: a tenth of a percent of the temperature
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    return float(torch.tensor((low + high) / 2).exp())
