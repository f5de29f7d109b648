"""An embedding is what transformers gives for its row alone, whatever shares the batch; loading is exact or refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from headstart_server.core.errors import InvalidInputError
from headstart_server.encoders.catalog import encoder_type
from headstart_server.encoders.passes import encode_batches
from headstart_server.encoders.sources import ModelSource, ModelSources
from headstart_server.encoders.text import check_source, dimension_of, load_encoder
from headstart_server.encoders.text_preparation import load_preparation
from headstart_server.encoders.tokens import TokenColumn
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from tests.support.cuts import wasting
from tests.support.tiny_models import HIDDEN, POSITIONS, save_bert

CPU = torch.device("cpu")
FAMILIES = ["bert", "distilbert", "roberta", "gpt2", "t5"]
WORD = st.sampled_from(["the", "good", "bad", "film", "was", "not", "great", "xyzzy", "42", ",", "!", "é", "a"])
TEXTS = st.lists(st.lists(WORD, max_size=60).map(" ".join), min_size=1, max_size=12)
REDUCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "cls": lambda hidden: hidden[0],
    "last": lambda hidden: hidden[-1],
    "mean": lambda hidden: hidden.mean(0),
    "sum": lambda hidden: hidden.sum(0),
    "max": lambda hidden: hidden.max(0).values,
}


class Reference:
    """transformers' own tokenizer and model, one row at a time."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModel.from_pretrained(folder).eval()
        self.model = model.get_encoder() if hasattr(model, "decoder") else model
        self.limit = limit

    def hidden(self, text: str) -> torch.Tensor:
        """Token vectors [t, d]."""
        ids = self.tokenizer(text, truncation=True, max_length=self.limit)["input_ids"]
        ids = ids or [self.tokenizer.eos_token_id]
        with torch.no_grad():
            output = self.model(input_ids=torch.tensor([ids]))
        hidden: torch.Tensor = output.last_hidden_state[0]
        return hidden


_references: dict[tuple[Path, int], Reference] = {}


def _reference(folder: Path, limit: int) -> Reference:
    return _references.setdefault((folder, limit), Reference(folder, limit))


def _encode(folder: Path, texts: list[str], limit: int, reduction: str, waste: float | None) -> np.ndarray:
    source = ModelSource("tiny", folder)
    preparation = load_preparation(source, limit, "field")
    encoder = load_encoder(source, reduction, use_pretrained=True, field="field")
    embeddings = np.full((len(texts), dimension_of(source)), np.nan, np.float32)
    for rows, values in encode_batches(
        encoder, preparation.tokenize(texts), preparation.padding, CPU, cut=wasting(waste)
    ):
        assert np.isnan(embeddings[rows]).all()
        embeddings[rows] = values
    return embeddings


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=8)
@given(TEXTS, st.sampled_from(sorted(REDUCTIONS)), st.sampled_from([0.0, 0.3, 1.0, None]), st.sampled_from([5, 20, 38]))
def test_an_embedding_is_that_of_its_row_alone(
    tiny_models: dict[str, Path], family: str, texts: list[str], reduction: str, waste: float | None, limit: int
) -> None:
    reference = _reference(tiny_models[family], limit)
    expected = torch.stack([REDUCTIONS[reduction](reference.hidden(text)) for text in texts]).numpy()
    found = _encode(tiny_models[family], texts, limit, reduction, waste)
    bound = 1e-5 * max(1.0, np.abs(expected).max())
    assert np.abs(found - expected).max() <= bound


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_cls_pooled_is_transformers_pooler(tiny_models: dict[str, Path], family: str) -> None:
    texts = ["the good film", "a", "bad " * 30]
    model = transformers.AutoModel.from_pretrained(tiny_models[family]).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_models[family])
    with torch.no_grad():
        rows = [tokenizer(text, truncation=True, max_length=38, return_tensors="pt")["input_ids"] for text in texts]
        expected = torch.cat([model(input_ids=ids).pooler_output for ids in rows]).numpy()
    for waste in (0.0, 1.0):
        assert np.abs(_encode(tiny_models[family], texts, 38, "cls_pooled", waste) - expected).max() <= 1e-5


MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def test_real_weights_give_sentence_transformers_embeddings() -> None:
    from sentence_transformers import SentenceTransformer

    source = ModelSources().find(MINILM, None, "field")
    texts = ["A film of rare beauty .", "dull", "", "unlike most of its kind , it is short " * 12]
    reference = SentenceTransformer(str(source.folder), device="cpu", local_files_only=True)
    reference.max_seq_length = 64
    expected = np.stack([reference.encode(text, normalize_embeddings=False) for text in texts])
    norm = np.linalg.norm(expected, axis=1, keepdims=True)
    found = _encode(source.folder, texts, 64, "mean", 1.0)
    if np.allclose(norm, 1.0, atol=1e-4):  # the package's own last module normalises
        found = found / np.linalg.norm(found, axis=1, keepdims=True)
    assert np.abs(found - expected).max() <= 1e-5


def test_a_pass_that_is_given_up_leaves_torchs_threads_as_they_were(tiny_bert: Path) -> None:
    source = ModelSource("tiny", tiny_bert)
    preparation = load_preparation(source, 38, "field")
    encoder = load_encoder(source, "mean", use_pretrained=True, field="f")
    tokens = preparation.tokenize(["good " * length for length in range(1, 30)])
    threads = torch.get_num_threads()
    batches: Any = encode_batches(encoder, tokens, preparation.padding, CPU, cut=wasting(0.0))
    next(batches)
    batches.close()
    assert torch.get_num_threads() == threads
    assert len(list(encode_batches(encoder, tokens, preparation.padding, CPU, cut=wasting(0.0)))) == 29
    assert torch.get_num_threads() == threads


def test_bf16_stays_close_to_fp32(tiny_bert: Path) -> None:
    source = ModelSource("tiny", tiny_bert)
    preparation = load_preparation(source, 38, "field")
    tokens = preparation.tokenize(["the good film", "a bad story it was"])
    exact, rough = (
        np.concatenate([values for _, values in encode_batches(encoder, tokens, preparation.padding, CPU)])
        for encoder in (
            load_encoder(source, "mean", use_pretrained=True, field="f"),
            load_encoder(source, "mean", use_pretrained=True, field="f").at("bf16", CPU),
        )
    )
    cosine = (exact * rough).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rough, axis=1)
    assert rough.dtype == np.float32
    assert cosine.min() > 0.99


def test_long_texts_are_cut_at_the_limit_special_tokens_included(tiny_models: dict[str, Path]) -> None:
    long = "good " * 100
    for family, most in (("bert", POSITIONS), ("roberta", POSITIONS - 2), ("gpt2", POSITIONS)):
        source = ModelSource(family, tiny_models[family])
        assert load_preparation(source, 10**6, "f").max_length == most
        tokens = load_preparation(source, 10**6, "f").tokenize([long])
        assert tokens.lengths.tolist() == [most]
        encoder = load_encoder(source, "mean", use_pretrained=True, field="f")
        assert all(np.isfinite(values).all() for _, values in encode_batches(encoder, tokens, 0, CPU))
        assert encoder.positions == most
        assert load_preparation(source, 7, "f").tokenize([long]).lengths.tolist() == [7]
    bert = load_preparation(ModelSource("bert", tiny_models["bert"]), 7, "f").tokenize([long])
    assert bert.ids[[0, -1]].tolist() == [2, 3]


def test_no_row_is_without_tokens(tiny_models: dict[str, Path]) -> None:
    for family in FAMILIES:
        preparation = load_preparation(ModelSource(family, tiny_models[family]), 38, "f")
        assert preparation.tokenize(["", " ", "a"]).lengths.min() >= 1


def test_a_tokenizer_is_loaded_once_and_set_before_anyone_shares_it(tiny_bert: Path) -> None:
    first, second = (load_preparation(ModelSource("x", tiny_bert), 12, "f") for _ in range(2))
    assert first is second
    assert first.tokenizer.backend_tokenizer.truncation["max_length"] == 12
    assert first.tokenizer.backend_tokenizer.padding is None


def _copy(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def _refused(folder: Path, reduction: str = "mean") -> str:
    with pytest.raises(InvalidInputError) as caught:
        load_encoder(ModelSource("x", folder), reduction, use_pretrained=True, field="place")
    assert caught.value.field == "place"
    return str(caught.value)


def test_truncated_weights_are_refused(tiny_bert: Path, tmp_path: Path) -> None:
    path = _copy(tiny_bert, tmp_path / "m") / "model.safetensors"
    for kept in (-100, 50, 0):
        path.write_bytes((tiny_bert / "model.safetensors").read_bytes()[:kept])
        assert "cannot be loaded" in _refused(path.parent)


def test_weights_that_are_not_there_are_never_drawn_at_random(tiny_bert: Path, tmp_path: Path) -> None:
    path = _copy(tiny_bert, tmp_path / "m") / "model.safetensors"
    tensors = {name: value for name, value in load_file(path).items() if "layer.1." not in name}
    save_file(tensors, path, {"format": "pt"})
    assert "lacks 16 weights" in _refused(path.parent)


def test_a_pooler_that_is_not_there_is_never_drawn_at_random(tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "m", pooler=False)
    assert "use reduce_output cls or mean" in _refused(folder, "cls_pooled")
    assert load_encoder(ModelSource("x", folder), "cls", use_pretrained=True, field="f").dimension == HIDDEN


def test_random_weights_are_drawn_on_request_only(tiny_bert: Path) -> None:
    source = ModelSource("x", tiny_bert)
    loaded = [load_encoder(source, "mean", use_pretrained=True, field="f") for _ in range(2)]
    drawn = load_encoder(source, "mean", use_pretrained=False, field="f")
    one, other = (encoder.model.state_dict() for encoder in loaded)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert set(drawn.model.state_dict()) == set(one)
    assert not torch.equal(
        drawn.model.state_dict()["embeddings.word_embeddings.weight"], one["embeddings.word_embeddings.weight"]
    )
    assert not drawn.training


@pytest.mark.parametrize(
    ("family", "kind", "reduction", "words"),
    [
        ("bert", "roberta", "mean", "is a bert model, not roberta; use type auto_transformer"),
        ("gpt2", "auto_transformer", "cls_pooled", "has no pooler"),
        ("distilbert", "distilbert", "cls_pooled", "has no pooler"),
    ],
)
def test_weights_that_do_not_suit_are_refused(
    tiny_models: dict[str, Path], family: str, kind: str, reduction: str, words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words):
        check_source(ModelSource("x", tiny_models[family]), encoder_type(kind, "text", "f"), reduction, "f")


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_that_suit_are_accepted(tiny_models: dict[str, Path], family: str) -> None:
    source = ModelSource("x", tiny_models[family])
    for kind in (family, "auto_transformer"):
        check_source(source, encoder_type(kind, "text", "f"), "mean", "f")
    assert dimension_of(source) == HIDDEN


@pytest.mark.parametrize(
    "config",
    ["{", "[]", "{}", '{"model_type": "nonsense"}', '{"model_type": "vit"}', '{"model_type": "bert", "auto_map": {}}'],
)
def test_a_configuration_that_is_none_of_a_text_encoder_is_refused(tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    source = ModelSource("x", tmp_path)
    if "auto_map" in config:  # remote code is not run, the rest of the configuration counts
        check_source(source, encoder_type("auto_transformer", "text", "f"), "mean", "f")
        return
    with pytest.raises(InvalidInputError):
        check_source(source, encoder_type("auto_transformer", "text", "f"), "mean", "f")


def test_a_missing_or_broken_tokenizer_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    folder = _copy(tiny_bert, tmp_path / "m")
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(InvalidInputError, match="tokenizer cannot be loaded"):
        load_preparation(ModelSource("x", folder), 16, "f")


def test_rows_are_padded_with_ids_that_no_token_column_needs() -> None:
    tokens = TokenColumn.of([[5, 6, 7], [8]])
    ids, mask = tokens.padded(np.array([0, 1]), 0)
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask is not None and mask.tolist() == [[1, 1, 1], [1, 0, 0]]
