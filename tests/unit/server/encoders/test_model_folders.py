"""A model's folder is whole and its own, or refused by name before anything is built of it."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import transformers
from headstart_server.core.errors import InvalidInputError
from headstart_server.encoders.sources import ModelSource, ModelSources
from headstart_server.encoders.text import require_own_tokenizer
from headstart_server.encoders.text_preparation import load_preparation

from tests.support.tiny_vision import save_vit

_BARE = (
    *("bert", "roberta", "distilbert", "gpt2", "t5", "xlm-roberta", "albert", "electra", "deberta-v2", "xlnet"),
    *("longformer", "camembert", "modernbert", "llama", "ctrl", "bertweet", "phobert", "biogpt", "mpnet", "opt"),
)
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 437955512\n"


@pytest.fixture
def root(tiny_bert: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_bert, tmp_path / "root" / "tiny")
    return tmp_path / "root"


def _refused(root: Path) -> str:
    with pytest.raises(InvalidInputError) as caught:
        ModelSources(root).find("tiny", None, "place")
    assert caught.value.field == "place"
    return str(caught.value)


def _tokenizer_refused(folder: Path) -> str:
    with pytest.raises(InvalidInputError) as caught:
        load_preparation(ModelSource("x", folder), 16, "place")
    assert caught.value.field == "place" and str(folder) not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("family", _BARE)
def test_a_folder_without_tokenizer_files_is_refused(tmp_path: Path, family: str) -> None:
    kind = {"bertweet": "roberta", "phobert": "roberta"}.get(family, family)
    config = transformers.CONFIG_MAPPING[kind]()
    if kind != family:
        config.tokenizer_class = f"{family.capitalize()}Tokenizer"
    config.save_pretrained(tmp_path)
    assert "has no tokenizer files" in _tokenizer_refused(tmp_path)


def _bertweet(folder: Path, name: str) -> Path:
    config = transformers.RobertaConfig(vocab_size=20, tokenizer_class=f"{name.capitalize()}Tokenizer")
    config.save_pretrained(folder)
    (folder / "vocab.txt").write_text("the</w> 9\ngo@@ 8\nod</w> 7\ngood 5\nfilm 4\nthe 3\n")
    (folder / "bpe.codes").write_text("#version: 0.2\ng o 9\no d</w> 8\nt h 7\nth e</w> 6\n")
    return folder


@pytest.mark.parametrize("name", ["bertweet", "phobert"])
def test_the_codes_of_a_tokenizer_are_pinned_and_kept(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    source = ModelSource("x", _bertweet(folder, name))
    before = source.tokenizer_digest
    expected = load_preparation(source, 16, "f").tokenize(["the good film", "odd"])
    for copy in (tmp_path / "copied", tmp_path / "saved"):
        copy.mkdir()
    source.copy(tmp_path / "copied")
    load_preparation(source, 16, "f").tokenizer.save_pretrained(tmp_path / "saved")
    source.copy_tokenizer(tmp_path / "saved")
    shutil.copyfile(folder / "config.json", tmp_path / "saved" / "config.json")
    for copy in (tmp_path / "copied", tmp_path / "saved"):
        found = load_preparation(ModelSource("y", copy), 16, "f").tokenize(["the good film", "odd"])
        assert found.ids.tolist() == expected.ids.tolist()
    (folder / "bpe.codes").write_text("#version: 0.2\n")
    assert ModelSource("x", folder).tokenizer_digest != before
    (folder / "bpe.codes").unlink()
    assert "bpe.codes" in _tokenizer_refused(folder)


def test_every_file_that_a_tokenizer_of_transformers_names_is_kept(tmp_path: Path) -> None:
    names: set[str] = set()
    for kind in set(transformers.models.auto.tokenization_auto.TOKENIZER_MAPPING_NAMES.values()) - {None}:
        try:
            names.update((getattr(getattr(transformers, kind, None), "vocab_files_names", None) or {}).values())
        except ImportError:
            continue  # needs a library that is not here, as its users would be told
    assert len(names) > 15
    for name in names:
        (tmp_path / name).write_text("")
    assert names <= set(ModelSource("x", tmp_path).files)


def test_a_broken_merges_file_is_refused_in_words(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    transformers.GPT2Config(vocab_size=300).save_pretrained(tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps({"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b c d\nx\n")
    assert "merges.txt" in _tokenizer_refused(tmp_path)
    (tmp_path / "merges.txt").write_text("#version: 0.2\na zz\n")
    assert "merges.txt" in _tokenizer_refused(tmp_path)


def test_a_sentencepiece_model_alone_is_refused_by_its_name(tmp_path: Path) -> None:
    transformers.T5Config().save_pretrained(tmp_path)
    (tmp_path / "spiece.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\2")
    told = _tokenizer_refused(tmp_path)
    assert "spiece.model" in told and "tiktoken" not in told.lower()


def test_a_tokenizer_of_another_model_is_refused(root: Path) -> None:
    path = root / "tiny" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "vocab_size": 50}))
    assert "one of another model" in _tokenizer_refused(root / "tiny")


def test_a_tokenizer_larger_than_the_table_of_tokens_is_refused(root: Path) -> None:
    """Added tokens do not count: a text does not hold them by chance."""
    source = ModelSource("tiny", root / "tiny")
    tokenizer = load_preparation(source, 16, "place").tokenizer
    rows = json.loads((root / "tiny" / "config.json").read_text())["vocab_size"]
    tokenizer.add_tokens([f"added{number}" for number in range(rows)])
    require_own_tokenizer(source, tokenizer, "place")
    larger = SimpleNamespace(vocab_size=rows + 1)
    with pytest.raises(InvalidInputError, match=f"has {rows + 1} tokens, its weights {rows}; give the model its own"):
        require_own_tokenizer(source, larger, "place")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_a_pointer_of_git_lfs_is_named(root: Path, name: str) -> None:
    (root / "tiny" / name).write_text(POINTER)
    assert f"{name} is a pointer of Git LFS" in _refused(root)


@pytest.mark.parametrize("name", ["model.safetensors", "preprocessor_config.json", "config.json"])
def test_a_pointer_of_git_lfs_in_an_image_model_is_named(tmp_path: Path, name: str) -> None:
    (save_vit(tmp_path / "tiny") / name).write_text(POINTER)
    assert f"{name} is a pointer of Git LFS" in _refused(tmp_path)


@pytest.mark.parametrize(
    "shard", ["../secret.safetensors", "/etc/x.safetensors", "a/b.safetensors", "model.bin", 7, ""]
)
def test_an_index_names_only_files_beside_it(root: Path, shard: Any) -> None:
    index = {"metadata": {}, "weight_map": {"embeddings.weight": shard}}
    (root / "tiny" / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "must be *.safetensors files beside it" in _refused(root)


def test_shards_that_are_not_there_are_named(root: Path) -> None:
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (root / "tiny" / "model.safetensors.index.json").write_text(json.dumps(index))
    (root / "tiny" / "model.safetensors").rename(root / "tiny" / "model-1.safetensors")
    assert "lacks 1 of the files" in (told := _refused(root)) and "model-2.safetensors" in told


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": 3}', "null"])
def test_a_broken_index_is_refused(root: Path, text: str) -> None:
    (root / "tiny" / "model.safetensors.index.json").write_text(text)
    assert "is no index of weights" in _refused(root)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_hidden_layers": 1_000_000}, "num_hidden_layers is 1000000, but may be at most 1,000"),
        ({"vocab_size": 10**12}, "vocab_size is 1000000000000, but may be at most"),
        ({"hidden_size": 10**9}, "hidden_size is 1000000000"),
        ({"vocab_size": 10**7}, "vocab_size is 10,000,000, of vectors 32 wide, but its weights take"),
        ({"hidden_size": 10**5}, "100,000 wide, but its weights take"),
        ({"max_position_embeddings": 10**13}, "max_position_embeddings is 10000000000000"),
        ({"num_hidden_layers": "many"}, "must be a whole number from 1"),
        ({"hidden_size": -8}, "must be a whole number from 1"),
        ({"num_attention_heads": 0}, "must be a whole number from 1"),
        ({"num_attention_heads": True}, "must be a whole number from 1"),
        ({"layer_types": ["full"] * 100_000}, "layer_types is a list of 100,000"),
        ({"text_config": {"num_hidden_layers": 10**6}}, "text_config.num_hidden_layers is 1000000"),
        ({"vision_config": {"hidden_size": 10**9}}, "vision_config.hidden_size is 1000000000"),
    ],
)
def test_a_configuration_of_absurd_sizes_is_refused_before_it_is_built(
    root: Path, changes: dict[str, Any], words: str
) -> None:
    path = root / "tiny" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    assert words in _refused(root)


def test_every_default_configuration_of_transformers_is_modest(tmp_path: Path) -> None:
    from headstart_server.encoders.config_bounds import require_modest_config

    checked = 0
    for kind in transformers.MODEL_FOR_TEXT_ENCODING_MAPPING:
        try:
            kind().save_pretrained(tmp_path)
        except Exception:  # noqa: BLE001 - some have no defaults
            continue
        require_modest_config(tmp_path, 1 << 40, kind.model_type, "f")
        checked += 1
    assert checked > 5
