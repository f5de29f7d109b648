"""What BERT's normalizer and pre-tokenizer do to every character, asked of the Rust library and kept as tables.

The answer is exact because both work character by character; Python's own Unicode tables are of another version.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from tokenizers import normalizers, pre_tokenizers

_BLOCK = 256
_LONG_RUN = 64


@dataclass(frozen=True)
class Characters:
    """Whatever is named nowhere stays as it is and is part of a word. Ranges are first, last, first, last, ..."""

    changed: dict[str, str] = field(default_factory=dict)
    """What a character becomes: nothing, a space, other characters, itself between spaces."""
    dropped: list[int] = field(default_factory=list)
    """Ranges of code points that become nothing."""
    alone: list[int] = field(default_factory=list)
    """Ranges of code points that are words of their own, ideographs above all."""
    punctuation: dict[str, bool] = field(default_factory=dict)
    """Words of their own, once normalised."""
    spaces: dict[str, bool] = field(default_factory=dict)
    """What separates words, once normalised."""


@lru_cache(maxsize=8)
def characters_of(
    clean_text: bool, handle_chinese_chars: bool, strip_accents: bool | None, lowercase: bool
) -> Characters:
    """The tables of a BertNormalizer with these options and the BertPreTokenizer; takes about a second once."""
    normalizer = normalizers.BertNormalizer(clean_text, handle_chinese_chars, strip_accents, lowercase)
    found = Characters()
    forms: dict[int, str] = {}
    for block in _blocks():
        joined = "".join(block)
        normalised = normalizer.normalize_str(joined)
        if normalised == joined:
            continue
        for character in block:
            # Where nothing is left of the block, nothing is left of any of its characters.
            form = normalizer.normalize_str(character) if normalised else ""
            if form != character:
                forms[ord(character)] = form
    for first, last, kind in _runs(forms):
        if kind and last - first >= _LONG_RUN:
            (found.dropped if kind == "dropped" else found.alone).extend((first, last))
        else:
            found.changed.update((chr(code), forms[code]) for code in range(first, last + 1))
    pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    for block in _blocks():
        _classify(block, pre_tokenizer, found)
    return found


def _blocks() -> Iterator[list[str]]:
    """All characters. Most blocks hold nothing special, which one call tells."""
    for start in range(0, sys.maxunicode + 1, _BLOCK):
        if not 0xD800 <= start < 0xE000:  # surrogates are no characters
            yield [chr(code) for code in range(start, start + _BLOCK)]


def _runs(forms: dict[int, str]) -> Iterator[tuple[int, int, str]]:
    """(first, last, kind) of runs of neighbours that fare alike; the kind is empty for forms of their own."""
    first = last = -1
    kind = ""
    for code, form in forms.items():
        own = "dropped" if form == "" else "alone" if form == f" {chr(code)} " else ""
        if code == last + 1 and own == kind:
            last = code
            continue
        if first >= 0:
            yield first, last, kind
        first, last, kind = code, code, own
    if first >= 0:
        yield first, last, kind


def _classify(block: list[str], pre_tokenizer: pre_tokenizers.BertPreTokenizer, found: Characters) -> None:
    """Puts each character between two letters: punctuation comes back alone, a space not at all."""
    joined = "".join(block)
    if pre_tokenizer.pre_tokenize_str(joined) == [(joined, (0, len(joined)))]:
        return
    framed = "a" + "a".join(block) + "a"
    covered: set[int] = set()
    for _, (start, end) in pre_tokenizer.pre_tokenize_str(framed):
        covered.update(range(start, end))
        # The block's characters stand at odd places, letters at even ones.
        if end - start == 1 and start % 2:
            found.punctuation[framed[start]] = True
    found.spaces.update((framed[at], True) for at in range(1, len(framed), 2) if at not in covered)
