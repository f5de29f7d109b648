"""Pooling: token vectors to one vector, with padding masked out."""

import torch
from torch import Tensor

REDUCTIONS = ("cls", "cls_pooled", "mean", "max", "last", "sum")


def pool(hidden: Tensor, mask: Tensor | None, reduction: str) -> Tensor:
    """Reduces `hidden` [b, t, d] over tokens to [b, d]; `mask` [b, t] is 1 for tokens, None if none is padding.

    `cls` takes the first token, `last` the last token that is not padding. Computed in `hidden`'s dtype, sums in
    float32.
    """
    if reduction == "cls":
        return hidden[:, 0]
    if mask is None:
        return _pool_unpadded(hidden, reduction)
    if reduction == "last":
        last = mask.to(torch.int64).sum(1).sub(1).clamp(min=0)
        return hidden.gather(1, last[:, None, None].expand(-1, 1, hidden.shape[2]))[:, 0]
    weights = mask.unsqueeze(2)
    if reduction == "max":
        return hidden.masked_fill(weights == 0, float("-inf")).amax(1)
    total = (hidden.float() * weights).sum(1)
    if reduction == "mean":
        total = total / weights.sum(1).clamp(min=1)
    return total.to(hidden.dtype)


def _pool_unpadded(hidden: Tensor, reduction: str) -> Tensor:
    if reduction == "last":
        return hidden[:, -1]
    if reduction == "max":
        return hidden.amax(1)
    if reduction == "sum":
        return hidden.float().sum(1).to(hidden.dtype)
    return hidden.float().mean(1).to(hidden.dtype)
