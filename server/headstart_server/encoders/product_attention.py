"""Attention as batched products: on CPUs in bf16 faster than torch's fused kernel, which takes each row and head alone.

docs/decisions/0048 has the measurements. transformers calls it by name, as its own: see its `AttentionInterface`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

_NAME = "headstart_products"
_FUSED = "sdpa"


def attend_by_products(model: nn.Module) -> None:
    """Makes every part of a model that calls torch's fused attention call this one; the others stay as they are."""
    config: Any = getattr(model, "config", None)
    if getattr(config, "_attn_implementation", None) != _FUSED:
        return
    AttentionInterface.register(_NAME, _attention)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    choose: Any = model.set_attn_implementation
    choose(_NAME)


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
    """What the fused kernel gives for [b, h, t, d] each, as [b, t, h, d]; only the plain case is computed here."""
    causal = is_causal if is_causal is not None else getattr(module, "is_causal", True)
    other = causal or dropout or others.get("position_bias") is not None or others.get("softcap") is not None
    added = attention_mask is not None and attention_mask.dtype != torch.bool
    if other or added or not query.shape == key.shape == value.shape:
        fused: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, is_causal=is_causal, **others
        )
        return fused
    rows, heads, tokens, width = query.shape
    flat = [each.reshape(rows * heads, tokens, width) for each in (query, key, value)]
    nothing = query.new_empty(1).expand(rows * heads, tokens, tokens)
    scale = width**-0.5 if scaling is None else scaling
    scores = torch.baddbmm(nothing, flat[0], flat[1].transpose(1, 2), beta=0, alpha=scale)
    if attention_mask is not None:
        # not infinity: a token of padding may see nothing at all, and its mean would not be a number
        scores.view(rows, heads, tokens, tokens).masked_fill_(~attention_mask, torch.finfo(scores.dtype).min)
    found = torch.bmm(scores.softmax(-1), flat[2])
    return found.view(rows, heads, tokens, width).transpose(1, 2).contiguous(), None
