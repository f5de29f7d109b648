"""BERT's tokenizer as TorchScript, so that an exported model reads raw text with nothing but torch.

Algorithm: https://huggingface.co/docs/tokenizers/components (BertNormalizer, BertPreTokenizer, WordPiece).
"""

import json
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from headstart_server.encoders.text_preparation import TextPreparation
from headstart_server.export.characters import characters_of

_NORMALIZER_OPTIONS = {"clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}


class WordPiece(nn.Module):
    """Texts to (ids, mask), int64 [b, t], cut at the limit and padded to the longest.

    Written in the subset of Python that TorchScript compiles. Compiled strings are bytes, so a character is a slice
    whose width its UTF-8 lead byte tells; the uncompiled module is not meant to run.
    """

    prefix: list[int]
    suffix: list[int]
    changed: dict[str, str]
    dropped: list[int]
    alone: list[int]
    raw_tokens: dict[str, int]
    normalised_tokens: dict[str, int]
    raw_starts: dict[str, list[int]]
    normalised_starts: dict[str, list[int]]

    def __init__(self, tables: "Tables") -> None:
        super().__init__()
        self.vocabulary, self.prefix, self.suffix = tables.vocabulary, tables.prefix, tables.suffix
        self.changed, self.dropped, self.alone = tables.changed, tables.dropped, tables.alone
        self.punctuation, self.spaces = tables.punctuation, tables.spaces
        self.raw_tokens, self.normalised_tokens = tables.raw_tokens, tables.normalised_tokens
        self.raw_starts, self.normalised_starts = _starts(tables.raw_tokens), _starts(tables.normalised_tokens)
        self.unknown, self.padding = tables.unknown, tables.padding
        self.max_length, self.max_word = tables.max_length, tables.max_word
        self.continuing = tables.continuing

    def forward(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Tokenises a batch."""
        rows: list[list[int]] = []
        longest = 1
        for text in texts:
            row = self.encode(text)
            if len(row) == 0:
                row.append(self.padding)
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
        plain = list(text[:0])
        position = 0
        while position < len(text):
            character = text[position : position + self.width(text, position)]
            length = 0
            # Added tokens that are not normalised are found in the raw text, others in what normalising makes of it.
            if character in self.raw_starts:
                length = self.token_at(text, position, self.raw_tokens, self.raw_starts[character])
            if length > 0:
                self.segment("".join(plain), body)
                plain.clear()
                body.append(self.raw_tokens[text[position : position + length]])
            else:
                length = len(character)
                plain.append(self.normalised(character))
            position += length
        self.segment("".join(plain), body)
        # The special tokens at the end stay: the text before them is cut.
        return body[: self.max_length - len(self.suffix)] + self.suffix

    def normalised(self, character: str) -> str:
        """What the normalizer makes of one character."""
        if character in self.changed:
            return self.changed[character]
        # Ranges are long runs (`characters._LONG_RUN`), of which ASCII has none: a single byte needs no look.
        if len(character) > 1:
            code = self.code(character)
            if self.within(code, self.dropped):
                return ""
            if self.within(code, self.alone):
                return " " + character + " "
        return character

    def segment(self, text: str, body: list[int]) -> None:
        """Appends the ids of normalised text."""
        word = list(text[:0])
        position = 0
        while position < len(text):
            character = text[position : position + self.width(text, position)]
            length = 0
            if character in self.normalised_starts:
                length = self.token_at(text, position, self.normalised_tokens, self.normalised_starts[character])
            if length > 0:
                self.finish(word, body)
                body.append(self.normalised_tokens[text[position : position + length]])
            else:
                length = len(character)
                self.place(character, word, body)
            position += length
        self.finish(word, body)

    def place(self, character: str, word: list[str], body: list[int]) -> None:
        """Puts a normalised character onto the current word; a word that ends goes to `body`."""
        if character in self.spaces:
            self.finish(word, body)
        elif character in self.punctuation:
            self.finish(word, body)
            word.append(character)
            self.finish(word, body)
        else:
            word.append(character)

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
                # A word that cannot be spelled to its end is unknown as a whole: its pieces are taken back.
                while len(body) > before:
                    body.pop()
                body.append(self.unknown)
                end = len(word)
            else:
                body.append(index)
            start = end
        word.clear()

    def token_at(self, text: str, position: int, tokens: dict[str, int], lengths: list[int]) -> int:
        """Length of the added token at a position, 0 if there is none; `lengths` has the longest first."""
        for length in lengths:
            if text[position : position + length] in tokens:
                return length
        return 0

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

    def code(self, character: str) -> int:
        """The code point of a character's bytes."""
        if len(character) == 1:
            return ord(character)
        # UTF-8 (RFC 3629): a lead byte has as many ones as the character has bytes, then a zero, then its first bits.
        code = ord(character[0]) & (255 >> (len(character) + 1))
        for byte in character[1:]:
            code = code * 64 + (ord(byte) & 63)
        return code

    def within(self, code: int, ranges: list[int]) -> bool:
        """Whether a code point lies in one of the ranges: first, last, first, last, ..."""
        for index in range(0, len(ranges), 2):  # noqa: SIM110  (TorchScript knows no generators)
            if ranges[index] <= code and code <= ranges[index + 1]:
                return True
        return False


class Tables:
    """What a WordPiece tokenizer knows, as plain values."""

    def __init__(self, tokenizer: Tokenizer, config: dict[str, Any], max_length: int, padding: int) -> None:
        model, normalizer = config["model"], config["normalizer"]
        self.vocabulary: dict[str, int] = dict(model["vocab"])
        self.unknown = self.vocabulary[model["unk_token"]]
        self.continuing: str = model["continuing_subword_prefix"]
        self.max_word: int = model["max_input_chars_per_word"]
        self.max_length, self.padding = max_length, padding
        options = [normalizer.get(key, default) for key, default in _NORMALIZER_OPTIONS.items()]
        characters = characters_of(*options)
        self.changed, self.dropped, self.alone = characters.changed, characters.dropped, characters.alone
        self.punctuation, self.spaces = characters.punctuation, characters.spaces
        added = config["added_tokens"]
        self.raw_tokens = {item["content"]: item["id"] for item in added if not item["normalized"]}
        self.normalised_tokens = {
            tokenizer.normalizer.normalize_str(item["content"]): item["id"] for item in added if item["normalized"]
        }
        self.prefix, self.suffix = _template(tokenizer)


def wordpiece_of(preparation: TextPreparation) -> WordPiece | None:
    """The tokenizer as TorchScript source, or None where it is not BERT's kind."""
    backend = getattr(preparation.tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    config = json.loads(backend.to_str())
    kinds = tuple((config.get(part) or {}).get("type") for part in ("model", "normalizer", "pre_tokenizer"))
    if kinds != ("WordPiece", "BertNormalizer", "BertPreTokenizer"):
        return None
    # Such tokens depend on what is around them, which `token_at` does not see.
    if any(item["single_word"] for item in config["added_tokens"]):
        return None
    copy = Tokenizer.from_str(backend.to_str())  # the live one must keep its truncation
    return WordPiece(Tables(copy, config, preparation.max_length, preparation.padding))


def _starts(tokens: dict[str, int]) -> dict[str, list[int]]:
    """Lengths in bytes of the tokens that begin with a character, longest first."""
    starts: dict[str, set[int]] = {}
    for token in tokens:
        starts.setdefault(token[:1], set()).add(len(token.encode()))
    return {first: sorted(lengths, reverse=True) for first, lengths in starts.items()}


def _template(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Special tokens before and after a text."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    with_special, bare = tokenizer.encode("a").ids, tokenizer.encode("a", add_special_tokens=False).ids
    start = with_special.index(bare[0])
    return with_special[:start], with_special[start + len(bare) :]
