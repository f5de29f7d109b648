"""Whether a tokenizer's ids for the beginning of a text are those that the whole text begins with.

Texts are cut before they are tokenised, at a space (U+0020) behind anything but white space, and between ideographs
where each is a word. That changes no id before the cut where no token can hold both sides of such a place, and where
nothing behind it changes what is before it.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

_LOCAL_NORMALIZERS = (
    *("BertNormalizer", "ByteLevel", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "Prepend"),
    *("Strip", "StripAccents"),
)
"""Normalizers that look no further than a character and its combining marks, or trim the ends."""
_LOCAL_PATTERNS = (" {2,}", r"\s{2,}", " +", r"\s+")
"""Regular expressions of white space alone."""
_SPLITTERS = ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")
_LOCAL_SPLITTERS = (*_SPLITTERS, "ByteLevel", "CharDelimiterSplit", "Digits", "Metaspace", "Punctuation")
_SPACES = " \u2581\u0120"
"""A space as vocabularies write it: itself, Metaspace's, and ByteLevel's."""


_SPACE = re.compile(r"\S(?= )")
_SPACE_OR_IDEOGRAPH = re.compile(r"\S(?= )|[\u4e00-\u9fff](?=[\u4e00-\u9fff])")


def place_to_cut(backend: Any) -> re.Pattern[str] | None:
    """What ends a part of a text whose ids, by a tokenizer of the Rust library, are those it has in the whole text.

    None where the tokenizer is not known to have such places.
    """
    described: dict[str, Any] = json.loads(backend.to_str())
    added = [token["content"] for token in described.get("added_tokens") or ()]
    normalizers = list(_parts(described.get("normalizer"), "normalizers"))
    # Added tokens are looked for in a text before it is parted at spaces.
    if not _splits_at_spaces(described, normalizers) or any(map(_crosses, added)):
        return None
    apart = any(step["type"] == "BertNormalizer" and step.get("handle_chinese_chars") for step in normalizers)
    # An added token of several ideographs would be cut in two between them.
    return (
        _SPACE if not apart or any(len(token) > 1 and not token.isascii() for token in added) else _SPACE_OR_IDEOGRAPH
    )


def _splits_at_spaces(described: dict[str, Any], normalizers: list[dict[str, Any]]) -> bool:
    if not all(map(_local_normalizer, normalizers)):
        return False
    steps = list(_parts(described.get("pre_tokenizer"), "pretokenizers"))
    if any(map(_splits, steps)):
        return all(step["type"] in (*_LOCAL_SPLITTERS, "Split") for step in steps)
    # Nothing parts the text at spaces: it can be cut there if no token of the vocabulary reaches across one.
    model = described["model"]
    if model["type"] not in ("BPE", "Unigram") or not all(step["type"] in _LOCAL_SPLITTERS for step in steps):
        return False
    vocabulary = model["vocab"]
    return not any(map(_crosses, vocabulary if isinstance(vocabulary, dict) else (piece for piece, _ in vocabulary)))


def _parts(step: dict[str, Any] | None, within: str) -> Iterator[dict[str, Any]]:
    """The steps of a sequence, however nested."""
    if step is None:
        return
    if step["type"] == "Sequence":
        for part in step[within]:
            yield from _parts(part, within)
    else:
        yield step


def _local_normalizer(step: dict[str, Any]) -> bool:
    if step["type"] != "Replace":
        return step["type"] in _LOCAL_NORMALIZERS
    pattern = step["pattern"]
    return pattern.get("Regex") in _LOCAL_PATTERNS or ("String" in pattern and not _crosses(pattern["String"]))


def _splits(step: dict[str, Any]) -> bool:
    """Whether a pre-tokenizer parts a text at every space behind anything else."""
    match step["type"]:
        case "ByteLevel":
            return bool(step.get("use_regex", True))
        case "Metaspace":
            return bool(step.get("split", True))
        case "CharDelimiterSplit":
            return bool(step["delimiter"] == " ")
    return step["type"] in _SPLITTERS


def _crosses(piece: str) -> bool:
    """Whether a token holds something that is no space, and a space behind it."""
    # Leading spaces cross nothing: a text is cut before them.
    return any(mark in piece.lstrip(_SPACES) for mark in _SPACES)
