"""Temperature scaling: one number per classifier that makes its probabilities honest.

Source: Guo et al. 2017, arXiv:1706.04599.
"""

import torch
from torch import Tensor
from torch.nn import functional

_LOW, _HIGH = 0.05, 20.0


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
    while high - low > 1e-3:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    return float(torch.tensor((low + high) / 2).exp())
