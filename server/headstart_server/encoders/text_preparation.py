"""Tokenizers: from texts to token columns, as a pretrained text encoder reads them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import transformers

from headstart_server.core.errors import invalid
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text import UNLIMITED, model_limit, read_config
from headstart_server.encoders.tokens import TokenColumn

_BLOCK_TEXTS = 8_192


@dataclass(frozen=True)
class TextPreparation:
    """A tokenizer and its limit: texts to token columns."""

    tokenizer: Any
    max_length: int
    padding: int

    def tokenize(self, texts: list[str]) -> TokenColumn:
        """Token ids of each text, cut at `max_length`, special tokens included; never empty.

        Block by block: Python's lists of token ids take ten times the memory of a column.
        """
        blocks = [texts[start : start + _BLOCK_TEXTS] for start in range(0, max(1, len(texts)), _BLOCK_TEXTS)]
        columns = [TokenColumn.of([row or [self.padding] for row in self._ids(block)]) for block in blocks]
        return columns[0] if len(columns) == 1 else TokenColumn.join(columns)

    def _ids(self, texts: list[str]) -> list[list[int]]:
        if self._rust is not None:
            return [encoding.ids for encoding in self._rust.encode_batch_fast(texts)]
        ids: list[list[int]] = self.tokenizer(
            texts, truncation=True, max_length=self.max_length, padding=False, return_attention_mask=False
        )["input_ids"]
        return ids

    @cached_property
    def _rust(self) -> Any:
        """The tokenizer in Rust, its truncation set, where it alone makes the ids; None where Python has a part."""
        base = transformers.PreTrainedTokenizerFast
        calls = [
            getattr(type(self.tokenizer), name, None) is getattr(base, name) for name in ("__call__", "_encode_plus")
        ]
        if not all(calls):
            return None
        self.tokenizer([""], truncation=True, max_length=self.max_length, padding=False)
        return self.tokenizer.backend_tokenizer


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
        config = read_config(source)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise invalid(field, f"{source.name!r}: the tokenizer cannot be loaded: {str(error)[:300]}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    limit = min(max_sequence_length, model_limit(config), int(min(tokenizer.model_max_length, UNLIMITED)))
    preparation = TextPreparation(tokenizer, limit, int(tokenizer.pad_token_id or 0))
    preparation.tokenize([""])  # sets truncation and padding once: a tokenizer cannot be changed while others use it
    return preparation
