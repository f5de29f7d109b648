"""Pretrained text encoders: transformers models and their pooling."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from safetensors import SafetensorError
from torch import Tensor, nn

from headstart_server.core.errors import invalid
from headstart_server.encoders.catalog import AUTO_TRANSFORMER, EncoderType
from headstart_server.encoders.draft import Draft, names_in_files, without_parameters
from headstart_server.encoders.pooling import pool
from headstart_server.encoders.precision import DTYPES
from headstart_server.encoders.sources import ModelSource

if TYPE_CHECKING:
    from headstart_server.encoders.text_preparation import TextPreparation

UNLIMITED = 1_000_000
_POSITIONS_AFTER_PADDING = (
    *("camembert", "data2vec-text", "ibert", "lilt", "longformer", "luke", "markuplm", "mpnet", "roberta"),
    *("roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"),
)
"""Model types whose first position is the padding id + 1, as fairseq counted."""


class TextEncoder(nn.Module):
    """A transformers model and its pooling: token ids [b, t] (and mask [b, t]) to [b, d].

    `positions` is the largest t that the model has positions for, None if there is no limit.
    """

    def __init__(self, model: nn.Module, reduction: str, dimension: int, positions: int | None = None) -> None:
        super().__init__()
        self.positions = positions
        self.model = model
        self.reduction = reduction
        self.dimension = dimension

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """`attention_mask` is None where no row is padded, which lets attention take its fast path."""
        output = self.model(input_ids=input_ids, attention_mask=attention_mask, return_dict=True)
        if self.reduction == "cls_pooled":
            pooled: Tensor = output.pooler_output
            return pooled
        return pool(output.last_hidden_state, attention_mask, self.reduction)


def dimension_of(source: ModelSource) -> int:
    """Width of the source's token vectors."""
    return _dimension(read_config(source))


def check_source(source: ModelSource, encoder_type: EncoderType, reduction: str, field: str) -> None:
    """Raises InvalidInputError naming `field` where the weights do not suit the encoder's type or pooling."""
    try:
        config = read_config(source)
    except (OSError, ValueError, KeyError) as error:
        raise invalid(field, f"{source.name!r}: config.json cannot be read: {str(error)[:300]}") from error
    if encoder_type.name != AUTO_TRANSFORMER and config.model_type != encoder_type.model_type:
        raise invalid(
            field,
            f"{source.name!r} is a {config.model_type} model, not {encoder_type.model_type}; "
            f"use type {AUTO_TRANSFORMER}",
        )
    if (
        type(config) not in transformers.MODEL_FOR_TEXT_ENCODING_MAPPING
        and type(config) not in transformers.MODEL_MAPPING
    ) or not _dimension(config):
        raise invalid(field, f"{source.name!r}: transformers has no text encoder for {config.model_type!r}")
    if reduction == "cls_pooled" and not _has_pooler(config):
        raise invalid(field, f"{source.name!r} has no pooler; use reduce_output cls or mean")


def load_encoder(source: ModelSource, reduction: str, *, use_pretrained: bool, field: str) -> TextEncoder:
    """The model in float32, in evaluation mode; random weights of the same architecture unless `use_pretrained`."""
    config = read_config(source)
    factory, options = _factory(config, reduction)
    missing: set[str] = set()
    try:
        if use_pretrained:
            model, report = factory.from_pretrained(
                source.folder,
                config=config,
                dtype=torch.float32,
                trust_remote_code=False,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                **options,
            )
            missing = set(report["missing_keys"])
        else:
            model = factory.from_config(config, trust_remote_code=False, dtype=torch.float32, **options)
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, SafetensorError) as error:
        raise invalid(field, f"{source.name!r}: the weights cannot be loaded: {str(error)[:300]}") from error
    _require_weights(source, missing, reduction, field)
    return TextEncoder(model, reduction, _dimension(config), model_limit(config)).eval()


def draft_encoder(source: ModelSource, reduction: str) -> Draft | None:
    """The encoder with its parameters yet to be read; None where the files do not hold them as the model does."""
    config = read_config(source)
    factory, options = _factory(config, reduction)
    with without_parameters():
        model = factory.from_config(config, trust_remote_code=False, dtype=torch.float32, **options)
    names = names_in_files(model, source.folder)
    if names is None:
        return None
    encoder = TextEncoder(model, reduction, _dimension(config), model_limit(config)).eval()
    return Draft(encoder, source.folder, names)


def _factory(config: Any, reduction: str) -> tuple[Any, dict[str, Any]]:
    """What makes the model, without a pooler that nobody reads."""
    encoding = type(config) in transformers.MODEL_FOR_TEXT_ENCODING_MAPPING
    factory = transformers.AutoModelForTextEncoding if encoding else transformers.AutoModel
    pooled = reduction == "cls_pooled" or not _has_pooler(config)
    return factory, {} if pooled else {"add_pooling_layer": False}


def _require_weights(source: ModelSource, missing: set[str], reduction: str, field: str) -> None:
    """transformers draws weights that the files lack at random: no two loads would embed alike."""
    if reduction != "cls_pooled":
        missing = {name for name in missing if not name.startswith("pooler.")}
    if missing:
        names = ", ".join(sorted(missing)[:3])
        hint = "; use reduce_output cls or mean" if reduction == "cls_pooled" else "; give a complete checkpoint"
        raise invalid(field, f"{source.name!r} lacks {len(missing)} weights of its model ({names}, ...){hint}")


def save_text_encoder(folder: Path, encoder: TextEncoder, preparation: TextPreparation) -> None:
    """Saves a fine-tuned encoder whole, in float32, with its tokenizer, in transformers' layout."""
    model: Any = encoder.model
    model.save_pretrained(folder)
    preparation.tokenizer.save_pretrained(folder)


def at_precision(encoder: TextEncoder, precision: str, device: torch.device) -> TextEncoder:
    """The encoder moved to a device, its weights in `fp32`, `bf16` or `fp16`."""
    return encoder.to(device=device, dtype=DTYPES[precision])


def read_config(source: ModelSource) -> Any:
    return transformers.AutoConfig.from_pretrained(source.folder, trust_remote_code=False, local_files_only=True)


def _dimension(config: Any) -> int:
    """Width of token vectors, 0 where the model is none of text alone."""
    return int(getattr(config, "hidden_size", None) or getattr(config, "d_model", None) or 0)


def _has_pooler(config: Any) -> bool:
    """Whether the architecture has a pooler that can be left out, as those made for classification have."""
    encoding, any_model = transformers.MODEL_FOR_TEXT_ENCODING_MAPPING, transformers.MODEL_MAPPING
    kind = (encoding if type(config) in encoding else any_model)[type(config)]
    return not isinstance(kind, tuple) and "add_pooling_layer" in inspect.signature(kind.__init__).parameters


def model_limit(config: Any) -> int:
    """Longest sequence that the position embeddings allow."""
    positions = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if not positions or positions < 0:
        return UNLIMITED
    offset = config.pad_token_id + 1 if config.model_type in _POSITIONS_AFTER_PADDING else 0
    return int(positions) - offset
