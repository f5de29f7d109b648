"""Attention as batched products, where that is faster on CPUs than torch's own: in bf16, and with dropout.

Its fused kernel takes each row and head alone; with dropout torch has none. docs/decisions/0048 says more. transformers
calls it by name, as its own: see its `AttentionInterface`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

_NAME = "headstart_products"
_TORCH = "sdpa"
FUSED_TYPES = frozenset({torch.float32})
"""In which the fused kernel is the faster."""


def attend_by_products(model: nn.Module) -> None:
    """Makes every part of a model that calls torch's attention call this one; the others stay as they are."""
    AttentionInterface.register(_NAME, _attention)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    _choose(model, _TORCH, _NAME)


def attend_as_before(model: nn.Module) -> None:
    """Undoes `attend_by_products`."""
    _choose(model, _NAME, _TORCH)


def _choose(model: Any, before: str, after: str) -> None:
    if getattr(getattr(model, "config", None), "_attn_implementation", None) == before:
        model.set_attn_implementation(after)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """What torch's attention gives for [b, h, t, d] each, as [b, t, h, d]; only the plain case is computed here."""
    causal = is_causal if is_causal is not None else getattr(module, "is_causal", True)
    other = causal or others.get("position_bias") is not None or others.get("softcap") is not None
    added = attention_mask is not None and attention_mask.dtype != torch.bool
    fused = query.dtype in FUSED_TYPES and not dropout
    if fused or other or added or not query.shape == key.shape == value.shape:
        found: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, is_causal=is_causal, **others
        )
        return found
    with torch.autocast(query.device.type, enabled=False):  # which would have the softmax in fp32
        return _by_products(query, key, value, attention_mask, dropout, scaling), None


def _by_products(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float, scaling: float | None
) -> Tensor:
    rows, heads, tokens, width = query.shape
    flat = [each.reshape(rows * heads, tokens, width) for each in (query, key, value)]
    nothing = query.new_empty(1).expand(rows * heads, tokens, tokens)
    scale = width**-0.5 if scaling is None else scaling
    scores = torch.baddbmm(nothing, flat[0], flat[1].transpose(1, 2), beta=0, alpha=scale)
    if mask is not None:
        # not infinity: a token of padding may see nothing at all, and its mean would not be a number
        scores.view(rows, heads, tokens, tokens).masked_fill_(~mask, torch.finfo(scores.dtype).min)
    weights = functional.dropout(scores.softmax(-1), dropout) if dropout else scores.softmax(-1)
    found = torch.bmm(weights, flat[2])
    return found.view(rows, heads, tokens, width).transpose(1, 2).contiguous()
