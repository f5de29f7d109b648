"""Tokenizers: from texts to token columns, as a pretrained text encoder reads them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import transformers

from headstart_server.core.bounded import BoundedCache
from headstart_server.core.errors import HeadstartError
from headstart_server.core.memory import ran_out_of_memory
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text_blocks import MOST_CHARACTERS, blocks_of, head_of, turn
from headstart_server.encoders.text_models import model_limit, read_config
from headstart_server.encoders.tokenizer_files import (
    longest_of,
    padding_of,
    require_tokenizer,
    unreadable_tokenizer,
)
from headstart_server.encoders.tokenizer_locality import place_to_cut
from headstart_server.encoders.tokens import TokenColumn


@dataclass(frozen=True)
class TextPreparation:
    """A tokenizer and its limit: texts to token columns."""

    tokenizer: Any
    max_length: int
    padding: int
    first_characters: int = 0
    """How much of a text is read at first; 0: what `max_length` tokens usually need."""

    def tokenize(self, texts: Iterable[str]) -> TokenColumn:
        """Token ids of each text, cut at `max_length`, special tokens included; never empty.

        Of a text no more is read than `max_length` tokens need, and no more than 1,000,000 characters: tokenizers take
        a hundred times the memory of a text. Block by block: Python's lists of ids take ten times that of a column.
        """
        first = self.first_characters or 16 * self.max_length + 1_024
        heads = ((text, self._head(text, first)) for text in texts)
        columns = [TokenColumn.of([row or [self.padding] for row in self._block(block)]) for block in blocks_of(heads)]
        return columns[0] if len(columns) == 1 else TokenColumn.join([TokenColumn.of([]), *columns])

    def _block(self, block: list[tuple[str, str]]) -> list[list[int]]:
        """Ids of some texts, given with their heads; of those whose head was too short, by themselves."""
        ids = self._ids([head for _, head in block])
        for row, (text, head) in enumerate(block):
            while len(ids[row]) < self.max_length and len(head) < min(len(text), MOST_CHARACTERS):
                # Four times as much each time, so that a text is read a few times at most.
                head = self._head(text, 4 * len(head))
                ids[row] = self._ids([head])[0]
        return ids

    @cached_property
    def _place(self) -> re.Pattern[str] | None:
        """Where texts may be cut; None where nowhere."""
        return None if self.rust is None else place_to_cut(self.rust)

    def _head(self, text: str, characters: int) -> str:
        """The beginning of a text, which has the ids that the whole text begins with."""
        return text if len(text) <= characters else head_of(text, characters, self._place)

    def _ids(self, texts: list[str]) -> list[list[int]]:
        with turn(texts):
            if self.rust is not None:
                return [encoding.ids for encoding in self.rust.encode_batch_fast(texts)]
            ids: list[list[int]] = self.tokenizer(
                texts, truncation=True, max_length=self.max_length, padding=False, return_attention_mask=False
            )["input_ids"]
            return ids

    @cached_property
    def rust(self) -> Any:
        """The tokenizer in Rust, its truncation set, where it alone makes the ids; None where Python has a part."""
        base = transformers.PreTrainedTokenizerFast
        calls = [
            getattr(type(self.tokenizer), name, None) is getattr(base, name) for name in ("__call__", "_encode_plus")
        ]
        if not all(calls):
            return None
        # Sets the truncation of the tokenizer in Rust, which keeps it.
        self.tokenizer([""], truncation=True, max_length=self.max_length, padding=False)
        return self.tokenizer.backend_tokenizer


def load_preparation(source: ModelSource, max_sequence_length: int, field: str) -> TextPreparation:
    """As `_load_preparation`, kept between calls: a tokenizer takes up to a second to load."""
    key = (source.folder, source.tokenizer_digest, max_sequence_length)
    return _preparations.get(key, lambda: _load_preparation(source, max_sequence_length, field))


# callers choose the length, and each has a tokenizer of its own of some megabytes
_preparations: BoundedCache[tuple[Path, str, int], TextPreparation] = BoundedCache(32)


def _load_preparation(source: ModelSource, max_sequence_length: int, field: str) -> TextPreparation:
    """The source's tokenizer, limited to the model's own length. Raises InvalidInputError naming `field`."""
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            source.folder, trust_remote_code=False, local_files_only=True
        )
        config = read_config(source)
        longest = longest_of(source, tokenizer, field)
        require_tokenizer(source, tokenizer, config, field)
    except HeadstartError:
        raise
    except Exception as error:  # tokenizers in Rust raise plain Exceptions, converters whatever they stumble over
        if ran_out_of_memory(error):
            raise
        raise unreadable_tokenizer(source, error, field) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    # Whatever its files say: token columns are cut and padded at their end.
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    limit = min(max_sequence_length, model_limit(config), longest)
    preparation = TextPreparation(tokenizer, limit, padding_of(tokenizer, config))
    preparation.tokenize([""])  # sets truncation and padding once: a tokenizer cannot be changed while others use it
    return preparation
