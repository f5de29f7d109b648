"""BERT's tokenizer as TorchScript, so that an exported model reads raw text with nothing but torch.

What the tokenizers library does to single characters (cleaning, lower-casing, accents) is asked of the library itself
and kept as a table, which is exact because BertNormalizer works character by character.
Algorithm: https://huggingface.co/docs/tokenizers/components (BertNormalizer, BertPreTokenizer, WordPiece).
"""

import json
import sys
import unicodedata
from typing import Any

import torch
from torch import Tensor, nn

from headstart_server.encoders.text import TextPreparation

_ASCII_SYMBOLS = "$+<=>^`|~"


class WordPiece(nn.Module):
    """Texts to (ids, mask), int64 [b, t], cut at the limit and padded to the longest.

    Written in the subset of Python that TorchScript compiles. Compiled strings are bytes, so a character is a slice
    whose width its UTF-8 lead byte tells; the uncompiled module is not meant to run.
    """

    prefix: list[int]
    suffix: list[int]
    special_texts: list[str]
    special_ids: list[int]

    def __init__(self, tables: "Tables") -> None:
        super().__init__()
        self.vocabulary, self.changed, self.punctuation = tables.vocabulary, tables.changed, tables.punctuation
        self.special_texts, self.special_ids = tables.special_texts, tables.special_ids
        self.prefix, self.suffix = tables.prefix, tables.suffix
        self.unknown, self.padding = tables.unknown, tables.padding
        self.max_length, self.max_word = tables.max_length, tables.max_word
        self.continuing, self.split_cjk = tables.continuing, tables.split_cjk

    def forward(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Tokenises a batch."""
        rows: list[list[int]] = []
        longest = 1
        for text in texts:
            row = self.encode(text)
            longest = max(longest, len(row))
            rows.append(row)
        ids = torch.full([len(texts), longest], self.padding, dtype=torch.long)
        mask = torch.zeros([len(texts), longest], dtype=torch.long)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = torch.tensor(row, dtype=torch.long)
            mask[index, : len(row)] = 1
        return ids, mask

    def encode(self, text: str) -> list[int]:
        """Token ids of one text, special ones included.

        Lists are copied and cleared, never written as `[]` in a loop: TorchScript's optimiser takes an empty literal
        for a constant and moves it out of the loop (seen in torch 2.15).
        """
        body = list(self.prefix)
        word = list(text[:0])
        position = 0
        while position < len(text):
            special = self.special_at(text, position)
            if special >= 0:
                self.finish(word, body)
                body.append(self.special_ids[special])
                position += len(self.special_texts[special])
                continue
            character = text[position : position + self.width(text, position)]
            position += len(character)
            if self.split_cjk and self.is_cjk(character):
                self.finish(word, body)
                word.append(character)
                self.finish(word, body)
            else:
                self.add(character, word, body)
        self.finish(word, body)
        return body[: self.max_length - len(self.suffix)] + self.suffix

    def add(self, character: str, word: list[str], body: list[int]) -> None:
        """Normalises a character onto the current word; a word that ends goes to `body`."""
        normalised = character
        if character in self.changed:
            normalised = self.changed[character]
        position = 0
        while position < len(normalised):
            part = normalised[position : position + self.width(normalised, position)]
            position += len(part)
            if part == " ":
                self.finish(word, body)
            elif part in self.punctuation:
                self.finish(word, body)
                word.append(part)
                self.finish(word, body)
            else:
                word.append(part)

    def finish(self, word: list[str], body: list[int]) -> None:
        """Appends a word's pieces, longest first, or the unknown token if it cannot be spelled; clears the word."""
        before = len(body)
        start = 0
        if len(word) > self.max_word:
            body.append(self.unknown)
            start = len(word)
        while start < len(word):
            end = len(word)
            index = -1
            while end > start and index < 0:
                piece = "".join(word[start:end])
                if start > 0:
                    piece = self.continuing + piece
                if piece in self.vocabulary:
                    index = self.vocabulary[piece]
                else:
                    end -= 1
            if index < 0:
                while len(body) > before:
                    body.pop()
                body.append(self.unknown)
                end = len(word)
            else:
                body.append(index)
            start = end
        word.clear()

    def special_at(self, text: str, position: int) -> int:
        """Which special token stands at a position, or -1."""
        for index, special in enumerate(self.special_texts):
            if text[position : position + len(special)] == special:
                return index
        return -1

    def width(self, text: str, position: int) -> int:
        """Bytes of the character at a position."""
        lead = ord(text[position])
        if lead >= 240:
            return 4
        if lead >= 224:
            return 3
        if lead >= 192:
            return 2
        return 1

    def is_cjk(self, character: str) -> bool:
        """Whether each such character is a word of its own: the ideograph blocks of BertNormalizer."""
        if len(character) < 3:
            return False
        code = 0
        if len(character) == 3:
            code = (ord(character[0]) & 15) * 4096 + (ord(character[1]) & 63) * 64 + (ord(character[2]) & 63)
            return (
                (code >= 0x4E00 and code <= 0x9FFF)
                or (code >= 0x3400 and code <= 0x4DBF)
                or (code >= 0xF900 and code <= 0xFAFF)
            )
        code = (ord(character[0]) & 7) * 262144 + (ord(character[1]) & 63) * 4096
        code += (ord(character[2]) & 63) * 64 + (ord(character[3]) & 63)
        return (
            (code >= 0x20000 and code <= 0x2A6DF)
            or (code >= 0x2A700 and code <= 0x2B81F)
            or (code >= 0x2B920 and code <= 0x2CEAF)
            or (code >= 0x2F800 and code <= 0x2FA1F)
        )


class Tables:
    """What a WordPiece tokenizer knows, as plain values."""

    def __init__(self, config: dict[str, Any], backend: Any, max_length: int, padding: int) -> None:
        model = config["model"]
        self.vocabulary: dict[str, int] = dict(model["vocab"])
        self.unknown = self.vocabulary[model["unk_token"]]
        self.continuing: str = model["continuing_subword_prefix"]
        self.max_word: int = model["max_input_chars_per_word"]
        self.max_length, self.padding = max_length, padding
        self.split_cjk = bool(config["normalizer"].get("handle_chinese_chars", True))
        added = [token for token in config["added_tokens"] if not token.get("normalized", False)]
        self.special_texts = [token["content"] for token in added]
        self.special_ids = [token["id"] for token in added]
        self.changed, self.punctuation = _characters(backend)
        self.prefix, self.suffix = _template(backend)


def wordpiece_of(preparation: TextPreparation) -> WordPiece | None:
    """The tokenizer as TorchScript source, or None where it is not BERT's kind."""
    backend = getattr(preparation.tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    config = json.loads(backend.to_str())
    kinds = tuple((config.get(part) or {}).get("type") for part in ("model", "normalizer", "pre_tokenizer"))
    if kinds != ("WordPiece", "BertNormalizer", "BertPreTokenizer"):
        return None
    return WordPiece(Tables(config, backend, preparation.max_length, preparation.padding))


def _characters(backend: Any) -> tuple[dict[str, str], dict[str, bool]]:
    """(characters that normalising changes, punctuation), over all assigned characters."""
    changed: dict[str, str] = {}
    punctuation: dict[str, bool] = {}
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        category = unicodedata.category(character)
        if category in ("Cn", "Cs", "Co"):
            continue
        if category[0] == "P" or character in _ASCII_SYMBOLS:
            punctuation[character] = True
        normalised = " " if character.isspace() else backend.normalizer.normalize_str(character)
        if normalised != character and normalised.strip() != character:
            changed[character] = normalised
    return changed, punctuation


def _template(backend: Any) -> tuple[list[int], list[int]]:
    """Special tokens before and after a text."""
    backend.no_truncation()
    backend.no_padding()
    with_special, bare = backend.encode("a").ids, backend.encode("a", add_special_tokens=False).ids
    start = with_special.index(bare[0])
    return with_special[:start], with_special[start + len(bare) :]
