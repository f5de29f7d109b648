"""Whatever a model's configurations say, an encoder is made of it or refused in words: nothing else is ever raised."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from headstart_server.core.errors import InvalidInputError
from headstart_server.encoders.catalog import encoder_type
from headstart_server.encoders.image import load_image_encoder
from headstart_server.encoders.passes import encode_batches
from headstart_server.encoders.sources import ModelSources
from headstart_server.encoders.text import check_source, dimension_of, load_encoder, require_own_tokenizer
from headstart_server.encoders.text_preparation import load_preparation
from headstart_server.encoders.vision_processors import vision_transform
from headstart_server.encoders.vision_transformers import (
    check_vision_source,
    default_reduction,
    require_fitting_transform,
)

from tests.support.tiny_vision import save_vit

AUTO = encoder_type("auto_transformer", "text", "type")
VALUES: tuple[Any, ...] = (None, True, -1, 10**9, math.nan, "abc", [])
KEYS = (
    *("attention_probs_dropout_prob", "hidden_act", "hidden_size", "max_position_embeddings", "model_type"),
    *("pad_token_id", "type_vocab_size"),
)


@pytest.fixture(autouse=True)
def quiet() -> None:
    transformers.logging.set_verbosity_error()


def changed(folder: Path, file: str, key: str, value: Any) -> Path:
    """The folder with one key of one of its files changed."""
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    return folder


def text_embedded(root: Path) -> np.ndarray:
    """Embeddings of a word, of no text and of one beyond the limit, as a job makes them of `root`/m."""
    source = ModelSources(root).find("m", None, "f")
    check_source(source, AUTO, "mean", "f")
    preparation = load_preparation(source, 256, "f")
    require_own_tokenizer(source, preparation.tokenizer, "f")
    encoder = load_encoder(source, "mean", use_pretrained=True, field="f")
    column = preparation.tokenize(["film", "", "the awful story " * 200])
    found = np.full((3, dimension_of(source)), np.nan, np.float32)
    for rows, values in encode_batches(encoder, column, preparation.padding, torch.device("cpu")):
        found[rows] = values
    return found


@pytest.mark.parametrize("key", KEYS)
def test_a_text_model_of_any_configuration_embeds_or_is_refused_by_its_file(
    tiny_bert: Path, tmp_path: Path, key: str
) -> None:
    for number, value in enumerate(VALUES):
        root = tmp_path / str(number)
        changed(shutil.copytree(tiny_bert, root / "m"), "config.json", key, value)
        try:
            assert text_embedded(root).shape == (3, 32)
        except InvalidInputError as error:
            assert error.field == "f"
            assert "m'" in str(error) and str(tmp_path) not in str(error)


@pytest.mark.parametrize(("family", "key"), [("bert", "cls_token"), ("bert", "tokenizer_class"), ("gpt2", "unk_token")])
def test_a_tokenizer_of_any_configuration_reads_texts_or_is_refused_by_its_file(
    tiny_models: dict[str, Path], tmp_path: Path, family: str, key: str
) -> None:
    for number, value in enumerate(VALUES):
        root = tmp_path / str(number)
        changed(shutil.copytree(tiny_models[family], root / "m"), "tokenizer_config.json", key, value)
        try:
            preparation = load_preparation(ModelSources(root).find("m", None, "f"), 16, "f")
            assert all(1 <= length <= 16 for length in preparation.tokenize(["film", "", "the story " * 50]).lengths)
        except InvalidInputError as error:
            assert error.field == "f"
            assert "tokenizer" in str(error) and str(tmp_path) not in str(error)


@pytest.mark.parametrize("value", [True, -1, 0, 2, "many", [], math.nan])
def test_a_tokenizer_s_limit_must_be_a_number_that_leaves_room_for_a_word(
    tiny_bert: Path, tmp_path: Path, value: Any
) -> None:
    changed(shutil.copytree(tiny_bert, tmp_path / "m"), "tokenizer_config.json", "model_max_length", value)
    with pytest.raises(InvalidInputError, match=r"tokenizer_config\.json: model_max_length is .*from 3; correct it"):
        load_preparation(ModelSources(tmp_path).find("m", None, "f"), 16, "f")


def test_padding_without_a_vector_of_its_own_changes_no_embedding(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    """As where `[PAD]` was added to a tokenizer and the model was not resized for it."""
    for name in ("as it was", "padded"):
        shutil.copytree(tiny_models["gpt2"], tmp_path / name / "m")
    folder = tmp_path / "padded" / "m"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)
    rows = json.loads((folder / "config.json").read_text())["vocab_size"]
    changed(folder, "config.json", "pad_token_id", rows)
    assert tokenizer.pad_token_id >= rows
    expected, found = (text_embedded(tmp_path / name) for name in ("as it was", "padded"))
    np.testing.assert_allclose(found[[0, 2]], expected[[0, 2]], atol=1e-5)
    assert np.isfinite(found).all()


def test_padding_that_transformers_itself_cannot_take_is_named(tiny_bert: Path, tmp_path: Path) -> None:
    changed(shutil.copytree(tiny_bert, tmp_path / "m"), "config.json", "pad_token_id", 10**6)
    with pytest.raises(InvalidInputError, match="its pad_token_id is 1000000, its vocab_size 1"):
        text_embedded(tmp_path)


@pytest.mark.parametrize("key", ["hidden_size", "image_size", "patch_size", "num_channels", "layer_norm_eps"])
def test_an_image_model_of_any_configuration_embeds_or_is_refused_by_its_file(tmp_path: Path, key: str) -> None:
    whole = save_vit(tmp_path / "whole")
    for number, value in enumerate(VALUES):
        root = tmp_path / str(number)
        changed(shutil.copytree(whole, root / "m"), "config.json", key, value)
        try:
            source = ModelSources(root).find("m", None, "f")
            reduction = "cls"
            check_vision_source(source, reduction, "f")
            transform = vision_transform(source, "f")
            require_fitting_transform(source, transform, "f")
            encoder = load_image_encoder(source, transform, default_reduction(source), use_pretrained=True, field="f")
            with torch.inference_mode():
                assert encoder(torch.zeros(1, 3, *transform.crop)).shape == (1, 32)
        except InvalidInputError as error:
            assert error.field == "f"
            assert "m'" in str(error) and str(tmp_path) not in str(error)


@pytest.mark.parametrize("name", ["musicgen", "voxtral_realtime_text", "nougat", "kyutai_speech_to_text"])
def test_types_that_transformers_knows_and_no_text_model_has_are_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": name}))
    (folder / "model.safetensors").write_bytes(b"0" * 64)
    with pytest.raises(InvalidInputError) as caught:
        check_source(ModelSources(tmp_path).find("m", None, "f"), AUTO, "mean", "f")
    assert "'m'" in str(caught.value)
