"""What a text family's embeddings are compared with: the plain model of transformers, one row at a time."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text_encoder import TextEncoder
from headstart_server.encoders.text_models import (
    UNLIMITED,
    class_config,
    takes_mask,
    text_model_class,
)
from torch import Tensor, nn

from tests.families.tiny import VOCABULARY


def plain_class(config: Any) -> Any:
    """The class that transformers would take."""
    try:
        return text_model_class(config)
    except ValueError:
        mapping: Any = transformers.MODEL_MAPPING
        kind = mapping[type(config)]
        return kind[0] if isinstance(kind, tuple) else kind


def reference_of(source: ModelSource) -> nn.Module:
    """The plain model of transformers, of an encoder-decoder its encoder."""
    config = transformers.AutoConfig.from_pretrained(source.folder)
    kind = plain_class(config)
    if getattr(config, "use_cache", False):
        config.use_cache = False  # some hybrids keep none for layers that a tiny model lacks
    model = kind.from_pretrained(source.folder, config=class_config(kind, config), dtype=torch.float32).eval()
    whole: nn.Module = model.get_encoder() if getattr(model.config, "is_encoder_decoder", False) else model
    return whole


def random_rows(lengths: tuple[int, ...], encoder: TextEncoder) -> list[list[int]]:
    draw = torch.Generator().manual_seed(7)
    most, ids = encoder.positions or UNLIMITED, min(VOCABULARY, encoder.vocabulary) - 2
    return [torch.randint(6, ids, (min(length, most),), generator=draw).tolist() for length in lengths]


def token_vectors(model: nn.Module, row: list[int], shortest: int) -> Tensor:
    """Token vectors [t, d] of one row, by the plain model alone; rows that it cannot read are padded as told."""
    with torch.no_grad():
        padding = getattr(getattr(model, "config", None), "pad_token_id", None) or 0
        if len(row) >= shortest:
            ids = torch.tensor([row])
            told = {"attention_mask": torch.ones_like(ids)} if padding in row and takes_mask(model) else {}
            states: Tensor = model(input_ids=ids, return_dict=True, **told).last_hidden_state[0]
            return states
        ids = torch.tensor([row + [padding] * (shortest - len(row))])
        mask = (torch.arange(shortest) < len(row)).long()[None]
        short: Tensor = model(input_ids=ids, attention_mask=mask, return_dict=True).last_hidden_state[0, : len(row)]
        return short
