"""The encoder that every benchmark uses, and the plain ways to run it that ours is compared with."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from headstart_server.encoders.precision import DTYPES
from headstart_server.encoders.sources import ModelSource, ModelSources
from torch import Tensor

from benchmarks.support.machine import device

NAME = "sentence-transformers/all-MiniLM-L6-v2"
MAX_LENGTH = 256
_BATCH_TOKENS = 8_192


@cache
def source() -> ModelSource:
    """The weights on this machine."""
    return ModelSources().find(NAME, None, "encoder")


@cache
def tokenizer() -> Any:
    """transformers' own tokenizer of these weights."""
    return transformers.AutoTokenizer.from_pretrained(source().folder, local_files_only=True)


def plain_model(precision: str = "fp32") -> Any:
    """transformers' own model, ready to encode."""
    model = transformers.AutoModel.from_pretrained(
        source().folder, dtype=DTYPES[precision], local_files_only=True, add_pooling_layer=False
    )
    return model.eval().to(device())


def tokens_of(texts: list[str]) -> list[list[int]]:
    """Token ids of each text."""
    ids: list[list[int]] = tokenizer()(texts, truncation=True, max_length=MAX_LENGTH)["input_ids"]
    return ids


def padded(rows: list[list[int]]) -> dict[str, Tensor]:
    """A padded batch with its mask, on the device."""
    batch = tokenizer().pad({"input_ids": rows}, return_tensors="pt")
    return {name: batch[name].to(device()) for name in ("input_ids", "attention_mask")}


def mean_pooled(hidden: Tensor, mask: Tensor) -> Tensor:
    """The mean over each row's own tokens."""
    weights = mask.unsqueeze(2).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


@torch.inference_mode()
def straight_loop(model: Any, texts: list[str]) -> npt.NDArray[np.float32]:
    """What a careful person writes in an hour: sort by length, pad within a token budget, mask, pool."""
    rows = tokens_of(texts)
    result = np.empty((len(rows), model.config.hidden_size), np.float32)
    for chosen in _token_batches([len(row) for row in rows]):
        batch = padded([rows[index] for index in chosen])
        hidden = model(**batch).last_hidden_state
        result[chosen] = mean_pooled(hidden, batch["attention_mask"]).float().cpu().numpy()
    return result


def _token_batches(lengths: list[int]) -> Iterator[list[int]]:
    """Row numbers, longest first, at most a budget of padded tokens each."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    start = 0
    while start < len(order):
        size = max(1, _BATCH_TOKENS // lengths[order[start]])
        yield order[start : start + size]
        start += size
