"""A model keeps its encoder's tokenizer whole: BERTweet and PhoBERT, whose merges are in `bpe.codes`, predict anew."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.data.tables import table_of_arrow
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.text_preparation import load_preparation
from headstart_server.serving.inputs import Reuse

from tests.support import reviews
from tests.support.exports import trained

WORDS = "the good film great awful story plot bad was not a very"


def save(folder: Path, kind: str) -> Path:
    """A small model with a tokenizer of words, and of two that are put together by `bpe.codes`."""
    folder.mkdir(parents=True)
    pieces = [*(f"{word}" for word in WORDS.split()), "go@@", "od", *"abcdefghijklmnopqrstuvwxyz"]
    pieces += [f"{letter}@@" for letter in "abcdefghijklmnopqrstuvwxyz"]
    (folder / "vocab.txt").write_text("".join(f"{piece} {9}\n" for piece in dict.fromkeys(pieces)))
    (folder / "bpe.codes").write_text("#version: 0.2\ng o 9\no d</w> 8\nt h 7\nth e</w> 6\n")
    torch.manual_seed(0)
    config = transformers.RobertaConfig(
        **{"vocab_size": 120, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2},
        **{"intermediate_size": 64, "max_position_embeddings": 40, "tokenizer_class": f"{kind}Tokenizer"},
    )
    transformers.RobertaModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.parametrize("kind", ["Bertweet", "Phobert"])
def test_codes_travel_with_the_model(tmp_path: Path, kind: str, trainable: bool) -> None:
    folder = save(tmp_path / "models" / "coded", kind)
    texts = ["the good film", "awful plot", ""]
    preparation = load_preparation(ModelSource("coded", folder), 38, "f")
    expected = preparation.tokenize(texts)
    assert len(set(expected.ids.tolist())) > 4
    job = trained(tmp_path, "coded", trainable=trainable)
    shutil.rmtree(tmp_path / "models")
    predictor = job.pool.get("", job.model)
    rows = [{**row, "review": text} for row, text in zip(reviews.make_rows(3), texts, strict=True)]
    table = table_of_arrow(pa.table({name: [row[name] for row in rows] for name in rows[0]}), "rows")
    read = predictor.rows(table)
    assert (
        predictor.tensor("review", "input_ids", read).tolist()
        == expected.padded(np.arange(3), preparation.padding)[0].tolist()
    )
    outputs = predictor.predict(predictor.loaded(read, Reuse.NONE), Reuse.NONE).outputs
    assert all(np.isfinite(values).all() for values in outputs.values())
    with pytest.raises(FailedPreconditionError, match="head_only"):
        job.export("onnx")
    assert job.export("onnx", head_only=True).max_difference <= 1e-4
