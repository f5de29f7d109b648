"""Tokens are transformers' own, whether Rust is asked directly or through Python."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from headstart_server.encoders import text_blocks
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text_preparation import TextPreparation, load_preparation

FAMILIES = ["bert", "distilbert", "roberta", "gpt2", "t5"]
TEXTS = [
    "the film was good",
    "",
    " ",
    "not great , xyzzy 42 é!",
    "a " * 90,
    "[SEP] the </s> film <pad>",
    "two\nlines\t\u00a0",
]


def _reference(folder: Path, limit: int) -> list[list[int]]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.truncation_side = "right"
    rows: list[list[int]] = tokenizer(TEXTS, truncation=True, max_length=limit, padding=False)["input_ids"]
    return [row or [tokenizer.pad_token_id or 0] for row in rows]


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_are_transformers_own(tiny_models: dict[str, Path], family: str) -> None:
    preparation = load_preparation(ModelSource(family, tiny_models[family]), 24, "field")
    column = preparation.tokenize(TEXTS)
    assert preparation.rust is not None
    assert [row.tolist() for row in np.split(column.ids, column.offsets[1:-1])] == _reference(tiny_models[family], 24)


def test_a_tokenizer_with_a_part_in_python_is_asked_through_it(tiny_bert: Path) -> None:
    class Shouting(transformers.PreTrainedTokenizerFast):  # type: ignore[misc]
        def _encode_plus(self, text: Any, **settings: Any) -> Any:
            return super()._encode_plus([f"{row} !" for row in text], **settings)

    plain = load_preparation(ModelSource("bert", tiny_bert), 24, "field")
    own = TextPreparation(Shouting(tokenizer_object=plain.tokenizer.backend_tokenizer), 24, 0)
    assert own.tokenize(["the film"]).ids.tolist() == plain.tokenize(["the film !"]).ids.tolist()


def test_blocks_of_texts_give_the_tokens_of_the_whole(tiny_bert: Path) -> None:
    preparation = load_preparation(ModelSource("bert", tiny_bert), 24, "field")
    times = text_blocks.BLOCK_TEXTS // len(TEXTS) + 1
    whole, blocks = preparation.tokenize(TEXTS), preparation.tokenize(TEXTS * times)
    assert np.array_equal(blocks.ids, np.tile(whole.ids, times))
    assert np.array_equal(blocks.lengths, np.tile(whole.lengths, times))
    assert len(preparation.tokenize([])) == 0
