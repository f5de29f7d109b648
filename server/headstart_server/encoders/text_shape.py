"""What a text encoder returns, found out at the door: by a pass on torch's meta device, which computes shapes alone."""

import json
import threading
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from headstart_server.encoders.model_config import told_as
from headstart_server.encoders.text_models import (
    NoTextEncoderError,
    class_config,
    encoder_part,
    model_options,
    on_meta,
    text_model_class,
)

_PROBE_TOKENS = 8
_SHAPES: dict[str, "TextShape"] = {}
_MOST_SHAPES = 256
_LOCK = threading.Lock()


@dataclass(frozen=True)
class TextShape:
    """Widths of what an encoder returns."""

    width: int
    """Of a token's vector."""
    pooled: int
    """Of what the model's own pooler gives; 0 where it has none."""
    tokens: int = 0
    """Rows of its table of tokens; 0 where it has none."""


def text_shape(config: Any) -> TextShape:
    """What a model of this configuration returns; raises NoTextEncoderError with the reason where that is no text's.

    Building a model of a few hundred layers takes a second, so answers are kept by configuration.
    """
    key = json.dumps(config.to_dict(), sort_keys=True, default=str)
    with _LOCK:
        if key not in _SHAPES:
            if len(_SHAPES) >= _MOST_SHAPES:
                del _SHAPES[next(iter(_SHAPES))]
            _SHAPES[key] = _found(config)
        return _SHAPES[key]


def _found(config: Any) -> TextShape:
    kind = text_model_class(config)
    own = class_config(kind, config)
    padding, rows = getattr(own, "pad_token_id", None), getattr(own, "vocab_size", None)
    beyond = isinstance(padding, int) and isinstance(rows, int) and padding >= rows
    cause = f"transformers cannot make it{f' (its pad_token_id is {padding}, its vocab_size {rows})' if beyond else ''}"
    with told_as(NoTextEncoderError, cause):
        encoder, _ = encoder_part(on_meta(kind, own, model_options(kind, "cls_pooled")))
    pooler = getattr(encoder, "pooler", None) is not None
    with told_as(NoTextEncoderError, "it cannot read a text alone"):
        try:
            ids = torch.ones(1, _PROBE_TOKENS, dtype=torch.long, device="meta")
            with torch.inference_mode():
                output = encoder(input_ids=ids, return_dict=True)
        except (NotImplementedError, RuntimeError, TypeError) as error:
            # torch names the device where a model's code asks it for a value; whatever else fails is the model's fault.
            if "meta" not in str(error):
                raise
            width = _width_in(getattr(encoder, "config", own), int(getattr(token_table(encoder), "embedding_dim", 0)))
            return TextShape(width, width if pooler else 0, table_size(encoder))
    return replace(_shape_of(output), tokens=table_size(encoder))


def table_size(encoder: nn.Module) -> int:
    """Rows of a model's table of tokens; 0 where it has none, as models of bytes or characters."""
    return int(getattr(token_table(encoder), "num_embeddings", 0))


def token_table(encoder: nn.Module) -> Any:
    """A model's table of tokens; None where it has none."""
    get: Any = getattr(encoder, "get_input_embeddings", None)
    try:
        return get() if get is not None else None
    except (NotImplementedError, AttributeError):
        return None


def _shape_of(output: Any) -> TextShape:
    states, pooled = getattr(output, "last_hidden_state", None), getattr(output, "pooler_output", None)
    if not isinstance(states, torch.Tensor) or states.dim() != 3 or states.shape[1] != _PROBE_TOKENS:
        raise NoTextEncoderError("it does not give a vector for each token")
    own_pooler = isinstance(pooled, torch.Tensor) and pooled.dim() == 2
    return TextShape(int(states.shape[2]), int(output.pooler_output.shape[1]) if own_pooler else 0)


def _width_in(config: Any, embedded: int) -> int:
    """What the configuration says, for models whose code looks at values, which the meta device has none of.

    `embedded` is the width of the table of tokens, which stands in where it says nothing.
    """
    width = getattr(config, "hidden_size", None) or getattr(config, "d_model", None)
    width = width or getattr(config.get_text_config(), "hidden_size", None) or embedded
    if not width:
        raise NoTextEncoderError("its configuration does not say how wide it is")
    return int(width)
