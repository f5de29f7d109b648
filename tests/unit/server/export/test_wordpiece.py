"""The compiled tokenizer gives the ids of the Rust tokenizers library, whatever the characters."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from headstart_server.encoders.text_preparation import TextPreparation
from headstart_server.export.wordpiece import wordpiece_of
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

LIMIT = 40
LETTERS = "abcdefghijklmnopqrstuvwxyzABC0123456789éß漢字кяİıſΣσς가ᄀ，。!?.,-[]()<>|~^$+=`'\u00a0\u09fd\u0301\u1e9e"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def preparation_of(
    added: list[AddedToken] | None = None, framed: bool = True, **options: Any
) -> tuple[TextPreparation, Tokenizer]:
    """A tokenizer that spells the letters, and its Rust form cut at the limit."""
    pieces = [*SPECIAL, *LETTERS, *("##" + letter for letter in LETTERS), "hello", "##llo", "he"]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    rust = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=12))
    rust.normalizer = normalizers.BertNormalizer(**options)
    rust.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if framed:
        rust.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    rust.add_special_tokens(SPECIAL)
    rust.add_tokens(added or [])
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=rust, pad_token="[PAD]", unk_token="[UNK]")
    copy = Tokenizer.from_str(fast.backend_tokenizer.to_str())
    copy.enable_truncation(LIMIT)
    return TextPreparation(fast, LIMIT, 0), copy


def compiled(preparation: TextPreparation) -> Callable[[list[str]], list[list[int]]]:
    """Texts to ids without padding, as the scripted module gives them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module: Any = torch.jit.script(wordpiece_of(preparation))

    def ids(texts: list[str]) -> list[list[int]]:
        found, mask = module(texts)
        return [row[: int(seen.sum())] for row, seen in zip(found.tolist(), mask, strict=True)]

    return ids


@pytest.mark.parametrize(
    ("every", "options"),
    [
        (1, {"lowercase": True}),
        (7, {"lowercase": False}),
        (7, {"lowercase": False, "clean_text": False, "handle_chinese_chars": False, "strip_accents": True}),
    ],
)
def test_every_character_gives_the_ids_of_the_rust_tokenizer(every: int, options: dict[str, Any]) -> None:
    preparation, rust = preparation_of(**options)
    ids = compiled(preparation)
    assigned = [*range(0x4000), *range(0xA000, 0xAC80), *range(0xD7A0, 0xD800), *range(0xE000, 0xE010)]
    assigned += [*range(0xF8F0, 0x12700), *range(0x16800, 0x17010), *range(0x1AFF0, 0x1B200), *range(0x1D000, 0x1FC00)]
    sampled = set(assigned) | {code for code in range(sys.maxunicode + 1) if code % 97 == 0 or code % 0x1000 > 0xFFD}
    texts = [f"a{chr(code)}b {chr(code)}" for code in sorted(sampled)[::every] if not 0xD800 <= code < 0xE000]
    expected = [row.ids for row in rust.encode_batch(texts)]
    found = ids(texts)
    wrong = [text for text, one, other in zip(texts, found, expected, strict=True) if one != other]
    assert not wrong


@pytest.mark.parametrize("text", ["", " ", "[SEP] a [MASK]b", "hello" * 9, "hello " * 30, "[MAS[MASK]K]", "he漢llo字"])
def test_texts_give_the_ids_of_the_rust_tokenizer(text: str) -> None:
    preparation, rust = preparation_of()
    assert compiled(preparation)([text, "a"])[0] == rust.encode(text).ids


@pytest.mark.parametrize(
    "text", ["x<S>y", "a<s>b", "ab<s><s>é<é>", "<É>", "abcABCabcd", "ABC abc", "漢漢a", "a漢漢字b", "<mask> a  <mask>b"]
)
def test_added_tokens_are_found_before_and_after_normalising(text: str) -> None:
    added = [
        AddedToken("<s>", normalized=True),
        AddedToken("<é>", normalized=True),
        AddedToken("ABC", normalized=False),
        AddedToken("ABCabc", normalized=False),
        AddedToken("漢漢", normalized=False),
        AddedToken("<mask>", normalized=False, lstrip=True),
    ]
    preparation, rust = preparation_of(added)
    assert compiled(preparation)([text])[0] == rust.encode(text).ids


def test_a_text_without_any_token_is_one_padding_token_as_for_the_live_model() -> None:
    preparation, _ = preparation_of(framed=False)
    live = preparation.tokenize(["", "a b"])
    assert compiled(preparation)(["", "a b"]) == [[0], live.ids[1:].tolist()]
    assert live.ids[:1].tolist() == [0]


def test_tokens_that_must_be_whole_words_are_left_to_the_tokenizers_library() -> None:
    preparation, _ = preparation_of([AddedToken("abc", single_word=True)])
    assert wordpiece_of(preparation) is None


def test_exporting_leaves_the_live_tokenizer_cut_at_its_limit() -> None:
    preparation, _ = preparation_of()
    preparation.tokenize(["a"])
    before = preparation.tokenizer.backend_tokenizer.truncation
    wordpiece_of(preparation)
    assert before is not None
    assert preparation.tokenizer.backend_tokenizer.truncation == before
