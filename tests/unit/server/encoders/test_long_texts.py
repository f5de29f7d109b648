"""Of a long text only the beginning is tokenised, and its ids are those that transformers gives the whole text."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import transformers
from headstart_server.encoders.text_preparation import TextPreparation
from headstart_server.encoders.tokenizer_locality import place_to_cut
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

LIMIT = 12
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'"


def word_piece() -> Tokenizer:
    pieces = ["[UNK]", *_ALPHABET, *(f"##{letter}" for letter in _ALPHABET), "the", "##ing", "中", "文"]
    made = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made


def byte_level_bpe() -> Tokenizer:
    pieces = ["<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "th", "the", "Ġt", "Ġthe", "aa", "ĠĠ", "ĠĠĠĠ"]
    merges = [("t", "h"), ("th", "e"), ("Ġ", "t"), ("Ġ", "the"), ("a", "a"), ("Ġ", "Ġ"), ("ĠĠ", "ĠĠ")]
    made = Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return made


def plain_bpe() -> Tokenizer:
    """As Llama's: no pre-tokenizer, spaces are characters of the vocabulary."""
    pieces = ["<unk>", "▁", *_ALPHABET, "th", "the", "▁the", "▁▁", "aa"]
    merges = [("t", "h"), ("th", "e"), ("▁", "the"), ("▁", "▁"), ("a", "a")]
    made = Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, merges, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return made


def unigram() -> Tokenizer:
    pieces = [("<unk>", 0.0), ("▁", -2.0), *((letter, -4.0) for letter in _ALPHABET), ("▁the", -3.0), ("aa", -5.0)]
    made = Tokenizer(models.Unigram([*pieces, ("aaa", -6.5), ("▁a", -4.5)], 0))
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    return made


def word_level() -> Tokenizer:
    made = Tokenizer(models.WordLevel({"<unk>": 0, "the": 1, "a": 2, "ab": 3}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


def _framed(made: Tokenizer) -> Tokenizer:
    made.add_special_tokens([AddedToken("<s>"), AddedToken("</s>"), AddedToken("<mask>", lstrip=True, rstrip=True)])
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[(name, made.token_to_id(name)) for name in ("<s>", "</s>")]
    )
    return made


class Characters(transformers.PreTrainedTokenizer):  # type: ignore[misc]
    """A tokenizer in Python whose tokens are characters."""

    def __init__(self, **given: Any) -> None:
        super().__init__(unk_token="?", pad_token="?", **given)

    @property
    def vocab_size(self) -> int:
        return 128

    def get_vocab(self) -> dict[str, int]:
        return {chr(code): code for code in range(128)}

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        return list(text)

    def _convert_token_to_id(self, token: str) -> int:
        return min(ord(token), 127)


def fast(make: Callable[[], Tokenizer]) -> Any:
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=_framed(make()), pad_token="</s>")
    return made


MAKERS: dict[str, Callable[[], Any]] = {
    **{make.__name__: partial(fast, make) for make in (word_piece, byte_level_bpe, plain_bpe, unigram)},
    "word_level": lambda: fast(word_level),
    "python": Characters,
}
_PIECES = (
    *("the ", "a", " ", "  ", "\n", "\t", " \u0301", "e\u0301", "\u00a0", "中文", "。", "<mask>", " <mask> ", "</s>"),
    *(
        "...",
        "'s",
        "ab " * 40,
        "a" * 300,
        " " * 300,
        "中" * 300,
        "word" * 60,
        "\n" * 200,
        "🙂",
        "\u200d",
        "\0",
        "İ",
        "ΑΣ",
    ),
)
PIECE = st.sampled_from(_PIECES)


def prepared_by(tokenizer: Any) -> TextPreparation:
    """To which texts are long that have hundreds of characters, so that examples stay small."""
    return TextPreparation(tokenizer, LIMIT, 0, first_characters=40)


_made: dict[str, tuple[Any, Any]] = {}


def _pair(kind: str) -> tuple[Any, Any]:
    """A tokenizer twice: one is left as it is."""
    if kind not in _made:
        _made[kind] = MAKERS[kind](), MAKERS[kind]()
    return _made[kind]


@pytest.mark.parametrize("kind", list(MAKERS))
@settings(max_examples=60)
@given(st.lists(st.lists(PIECE, max_size=40).map("".join), min_size=1, max_size=4))
def test_ids_are_those_of_the_whole_text(kind: str, texts: list[str]) -> None:
    mine, plain = _pair(kind)
    expected = [plain(text, truncation=True, max_length=LIMIT)["input_ids"] or [0] for text in texts]
    found = prepared_by(mine).tokenize(texts)
    assert [found.ids[s:e].tolist() for s, e in zip(found.offsets[:-1], found.offsets[1:], strict=True)] == expected


@pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind != "python"])
def test_a_long_text_is_read_in_part(kind: str) -> None:
    mine, _ = _pair(kind)
    preparation = prepared_by(mine)
    read: list[int] = []
    ids = preparation._ids

    def noted(texts: list[str]) -> Any:
        read.extend(map(len, texts))
        return ids(texts)

    object.__setattr__(preparation, "_ids", noted)
    assert preparation.tokenize(["the ab " * 1_000]).lengths.tolist() == [LIMIT]
    assert max(read) < 1_000


def _with(change: Callable[[Tokenizer], None], make: Callable[[], Tokenizer] = byte_level_bpe) -> Tokenizer:
    made = make()
    change(made)
    return made


@pytest.mark.parametrize(
    ("change", "make"),
    [
        (lambda made: made.add_tokens(["New York"]), byte_level_bpe),
        (lambda made: made.add_tokens(["the▁the"]), plain_bpe),
        (lambda made: setattr(made, "normalizer", normalizers.Replace(Regex("a (?=.*b$)"), "c")), byte_level_bpe),
        (lambda made: setattr(made, "normalizer", normalizers.Replace("a b", "c")), byte_level_bpe),
        (lambda made: setattr(made, "pre_tokenizer", None), word_level),
        (lambda made: setattr(made, "pre_tokenizer", pre_tokenizers.Split(Regex(r"a b"), "isolated")), word_level),
    ],
)
def test_a_tokenizer_whose_tokens_may_hold_spaces_reads_texts_whole(
    change: Callable[[Tokenizer], None], make: Callable[[], Tokenizer]
) -> None:
    assert place_to_cut(make()) is not None
    assert place_to_cut(_with(change, make)) is None
