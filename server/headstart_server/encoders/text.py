"""Pretrained text encoders: transformers models with their tokenizer and pooling."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from torch import Tensor, nn

from headstart_server.core.errors import invalid
from headstart_server.encoders.catalog import AUTO_TRANSFORMER, EncoderType
from headstart_server.encoders.pooling import pool
from headstart_server.encoders.precision import DTYPES
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.tokens import TokenColumn

CPU_BATCH_TOKENS = 8_192
CUDA_BATCH_TOKENS = 131_072
_UNLIMITED = 1_000_000


class TextEncoder(nn.Module):
    """A transformers model and its pooling: token ids [b, t] (and mask [b, t]) to [b, d]."""

    def __init__(self, model: nn.Module, reduction: str, dimension: int) -> None:
        super().__init__()
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


@dataclass(frozen=True)
class TextPreparation:
    """A tokenizer and its limit: texts to token columns."""

    tokenizer: Any
    max_length: int
    padding: int

    def tokenize(self, texts: list[str]) -> TokenColumn:
        """Token ids of each text, cut at `max_length`, special tokens included; never empty."""
        rows = self.tokenizer(
            texts, truncation=True, max_length=self.max_length, padding=False, return_attention_mask=False
        )["input_ids"]
        return TokenColumn.of([row or [self.padding] for row in rows])


def load_preparation(source: ModelSource, max_sequence_length: int, field: str) -> TextPreparation:
    """As `_load_preparation`, kept between calls: a tokenizer takes up to a second to load."""
    key = (source.folder, source.tokenizer_digest, max_sequence_length)
    if key not in _preparations:
        _preparations[key] = _load_preparation(source, max_sequence_length, field)
    return _preparations[key]


_preparations: dict[tuple[Path, str, int], TextPreparation] = {}


def _load_preparation(source: ModelSource, max_sequence_length: int, field: str) -> TextPreparation:
    """The source's tokenizer, limited to the model's own length. Raises InvalidInputError naming `field`."""
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            source.folder, trust_remote_code=False, local_files_only=True
        )
        config = _config(source)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise invalid(field, f"{source.name!r}: the tokenizer cannot be loaded: {str(error)[:300]}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    limit = min(max_sequence_length, _model_limit(config), int(min(tokenizer.model_max_length, _UNLIMITED)))
    return TextPreparation(tokenizer, limit, int(tokenizer.pad_token_id or 0))


def dimension_of(source: ModelSource) -> int:
    """Width of the source's token vectors."""
    config = _config(source)
    return int(getattr(config, "hidden_size", None) or config.d_model)


def check_source(source: ModelSource, encoder_type: EncoderType, reduction: str, field: str) -> None:
    """Raises InvalidInputError naming `field` where the weights do not suit the encoder's type or pooling."""
    try:
        config = _config(source)
    except (OSError, ValueError, KeyError) as error:
        raise invalid(field, f"{source.name!r}: config.json cannot be read: {str(error)[:300]}") from error
    if encoder_type.name != AUTO_TRANSFORMER and config.model_type != encoder_type.model_type:
        raise invalid(
            field,
            f"{source.name!r} is a {config.model_type} model, not {encoder_type.model_type}; use type {AUTO_TRANSFORMER}",
        )
    if (
        type(config) not in transformers.MODEL_FOR_TEXT_ENCODING_MAPPING
        and type(config) not in transformers.MODEL_MAPPING
    ):
        raise invalid(field, f"{source.name!r}: transformers has no text encoder for {config.model_type!r}")
    if reduction == "cls_pooled" and not _has_pooler(config):
        raise invalid(field, f"{source.name!r} has no pooler; use reduce_output cls or mean")


def load_encoder(source: ModelSource, reduction: str, *, use_pretrained: bool, field: str) -> TextEncoder:
    """The model in float32, in evaluation mode; random weights of the same architecture unless `use_pretrained`."""
    config = _config(source)
    mapping = transformers.MODEL_FOR_TEXT_ENCODING_MAPPING
    factory = transformers.AutoModelForTextEncoding if type(config) in mapping else transformers.AutoModel
    options: dict[str, Any] = (
        {} if reduction == "cls_pooled" or not _has_pooler(config) else {"add_pooling_layer": False}
    )
    try:
        if use_pretrained:
            model = factory.from_pretrained(
                source.folder,
                config=config,
                dtype=torch.float32,
                trust_remote_code=False,
                local_files_only=True,
                use_safetensors=True,
                **options,
            )
        else:
            model = factory.from_config(config, trust_remote_code=False, dtype=torch.float32, **options)
    except (OSError, ValueError, RuntimeError, ImportError, KeyError) as error:
        raise invalid(field, f"{source.name!r}: the weights cannot be loaded: {str(error)[:300]}") from error
    return TextEncoder(model.eval(), reduction, dimension_of(source))


def encode_batches(
    encoder: TextEncoder, tokens: TokenColumn, padding: int, device: torch.device, *, waste: float | None = None
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
    """Encodes a token column; yields (rows, embeddings float32 [n, d]), longest rows first.

    `waste` is the part of a batch's width that may be padding. On CPUs it is 0 unless given: a batch holds rows of one
    exact length, so that no token is padding and attention needs no mask. On GPUs rows of any similar length share a
    batch, padded to a multiple of 8.
    """
    on_cpu = device.type == "cpu"
    budget = CPU_BATCH_TOKENS if on_cpu else CUDA_BATCH_TOKENS
    allowed = waste if waste is not None else (0.0 if on_cpu else 1.0)
    with torch.inference_mode():
        for rows in _batches(tokens.lengths, budget, allowed):
            ids, mask = tokens.padded(rows, padding, 1 if on_cpu else 8)
            embeddings = encoder(
                torch.from_numpy(ids).to(device, non_blocking=True),
                None if mask is None else torch.from_numpy(mask).to(device, non_blocking=True),
            )
            yield rows, embeddings.float().cpu().numpy()


def at_precision(encoder: TextEncoder, precision: str, device: torch.device) -> TextEncoder:
    """The encoder moved to a device, its weights in `fp32`, `bf16` or `fp16`."""
    return encoder.to(device=device, dtype=DTYPES[precision])


def _batches(lengths: npt.NDArray[np.int64], budget: int, waste: float) -> Iterator[npt.NDArray[np.int64]]:
    """Rows in batches of at most `budget` tokens whose shortest row is at least (1 - waste) of the longest."""
    order = np.argsort(-lengths, kind="stable")
    ordered = lengths[order]
    start = 0
    while start < len(order):
        length = int(ordered[start])
        end = min(len(order), start + max(1, budget // max(1, length)))
        shortest = length - int(waste * length)
        end = start + int(np.searchsorted(-ordered[start:end], -shortest, side="right"))
        yield order[start:end]
        start = end


def _config(source: ModelSource) -> Any:
    return transformers.AutoConfig.from_pretrained(source.folder, trust_remote_code=False, local_files_only=True)


def _has_pooler(config: Any) -> bool:
    return config.model_type in {"bert", "roberta", "xlm-roberta", "camembert", "albert", "longformer"}


def _model_limit(config: Any) -> int:
    """Longest sequence that the position embeddings allow."""
    positions = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if not positions or positions < 0:
        return _UNLIMITED
    offset = 2 if config.model_type in {"roberta", "xlm-roberta", "camembert", "longformer"} else 0
    return int(positions) - offset
