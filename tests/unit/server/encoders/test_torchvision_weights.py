"""torchvision's weights are found wherever they may lie, by every name they have, and only if they are whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from headstart_server.core.errors import InvalidInputError
from headstart_server.encoders.sources import ModelSources
from headstart_server.encoders.torchvision_models import architectures, transform_of
from headstart_server.encoders.torchvision_weights import TorchvisionSource, find_weights, without_weights
from safetensors.torch import save_file
from torchvision.models import get_model, get_model_weights

from tests.support.checkpoints import Publishing, features, known, loaded, named_by_digest, publishing

NAME = "squeezenet1_1"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two files of torchvision's own naming, the recommended one first."""
    folder = tmp_path_factory.mktemp("published")
    paths = []
    for seed in range(2):
        torch.manual_seed(seed)
        torch.save(get_model(NAME, weights=None).state_dict(), folder / f"{NAME}_{seed}.pth")
        paths.append(named_by_digest(folder / f"{NAME}_{seed}.pth"))
    return paths


@pytest.fixture
def item(checkpoints: list[Path]) -> Publishing:
    return publishing(NAME, IMAGENET1K_V2=checkpoints[0].name, IMAGENET1K_V1=checkpoints[1].name)


@pytest.fixture(autouse=True)
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch's hub, under TORCH_HOME."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def put(path: Path, folder: Path, name: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(path, folder / (name or path.name)))


@pytest.mark.parametrize("below", ["", NAME])
def test_recommended_weights_are_found_in_the_model_root_and_in_a_folder_of_the_models_name(
    tmp_path: Path, checkpoints: list[Path], item: Publishing, below: str
) -> None:
    for path in checkpoints:
        put(path, tmp_path / "root" / below)
    source = find_weights(ModelSources(tmp_path / "root"), item, None, "f")
    assert source.weights == tmp_path / "root" / below / checkpoints[0].name
    assert source.name == f"{NAME} IMAGENET1K_V2"


def test_weights_are_found_in_the_cache_of_torchs_hub(
    hub_cache: Path, checkpoints: list[Path], item: Publishing
) -> None:
    expected = put(checkpoints[1], hub_cache)
    for sources in (ModelSources(), ModelSources(hub_cache.parent)):
        assert find_weights(sources, item, None, "f").weights == expected
        assert find_weights(sources, item, "IMAGENET1K_V1", "f").weights == expected
        assert find_weights(sources, item, checkpoints[1].name, "f").weights == expected


def test_published_weights_are_chosen_by_name(tmp_path: Path, checkpoints: list[Path], item: Publishing) -> None:
    for path in checkpoints:
        put(path, tmp_path)
    for key, path in zip(item.published, checkpoints, strict=True):
        for name in (key, path.name):
            assert find_weights(ModelSources(tmp_path), item, name, "f").weights == tmp_path / path.name


def test_weights_by_name_are_not_replaced_by_others(tmp_path: Path, checkpoints: list[Path], item: Publishing) -> None:
    put(checkpoints[0], tmp_path)
    with pytest.raises(InvalidInputError, match=f"put {checkpoints[1].name}, or weights of your own") as caught:
        find_weights(ModelSources(tmp_path), item, "IMAGENET1K_V1", "f")
    assert caught.value.reason == "UNKNOWN_MODEL"


@pytest.mark.parametrize("name", ["mine.pth", "mine", "group/mine", "group/mine/best.pt", NAME])
def test_own_weights_are_found_by_file_and_by_folder(tmp_path: Path, checkpoints: list[Path], name: str) -> None:
    for folder, file in (("", "mine.pth"), ("mine", "a.pth"), ("group/mine", "best.pt"), (NAME, "own.pth")):
        put(checkpoints[0], tmp_path / folder, file)
    found = find_weights(ModelSources(tmp_path), known(NAME), None if name == NAME else name, "f")
    assert found.weights is not None
    assert found.weights.relative_to(tmp_path).as_posix().startswith(name)
    assert found.transform == transform_of(get_model_weights(NAME).DEFAULT)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.pth", "no weights called 'nothing.pth' in the model root: give a file ending in .safetensors, .pth"),
        ("two", "no weights called 'two' in the model root: .* or a folder that holds one"),
        ("notes.txt", "no weights called 'notes.txt'"),
        ("IMAGENET1K_V3", "no weights called 'IMAGENET1K_V3' .*IMAGENET1K_V1"),
        ("../outside.pth", "outside"),
        ("/etc/passwd", "passwd"),
    ],
)
def test_a_name_without_weights_is_refused_with_what_would_do(
    tmp_path: Path, checkpoints: list[Path], name: str, message: str
) -> None:
    root = tmp_path / "root"
    for file in ("two/a.pth", "two/b.pth", "notes.txt", "../outside.pth"):
        put(checkpoints[0], (root / file).parent, Path(file).name)
    with pytest.raises(InvalidInputError, match=message):
        find_weights(ModelSources(root), known(NAME), name, "f")


def test_without_a_model_root_the_error_says_how_to_have_one(item: Publishing) -> None:
    with pytest.raises(InvalidInputError, match="--model-root"):
        find_weights(ModelSources(), item, "mine", "f")
    with pytest.raises(InvalidInputError, match=r"--model-root.*--allow-hub.*use_pretrained: false"):
        find_weights(ModelSources(), item, None, "f")


@pytest.mark.parametrize(
    ("file", "name"), [("mine/weights.pth", "mine"), ("own.safetensors", "own.safetensors"), ("", None)]
)
def test_a_pointer_of_git_lfs_is_named(
    tmp_path: Path, checkpoints: list[Path], item: Publishing, file: str, name: str | None
) -> None:
    path = tmp_path / "root" / (file or checkpoints[0].name)
    path.parent.mkdir(parents=True)
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 437955512\n")
    with pytest.raises(InvalidInputError, match=r"is a pointer of Git LFS, not the file itself; run git lfs pull"):
        find_weights(ModelSources(tmp_path / "root"), item, name, "f")


@pytest.mark.parametrize("where", ["root", "hub"])
def test_a_damaged_file_of_torchvisions_is_refused_before_it_is_read(
    tmp_path: Path, hub_cache: Path, checkpoints: list[Path], item: Publishing, where: str
) -> None:
    path = put(checkpoints[0], tmp_path / "root" if where == "root" else hub_cache)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InvalidInputError, match=rf"{path.name} has the SHA-256 .* damaged") as caught:
        find_weights(ModelSources(tmp_path / "root"), item, None, "f")
    assert caught.value.reason == "WRONG_DIGEST"


def test_a_copy_is_opened_as_the_source_that_it_was(tmp_path: Path, checkpoints: list[Path], item: Publishing) -> None:
    put(checkpoints[1], tmp_path / "root")
    source = find_weights(ModelSources(tmp_path / "root"), item, "IMAGENET1K_V1", "f")
    (tmp_path / "copy").mkdir()
    source.copy(tmp_path / "copy")
    opened = TorchvisionSource.opened(source.name, tmp_path / "copy")
    assert (opened.identity, opened.transform) == (source.identity, source.transform)


def test_the_same_tensors_of_another_architecture_are_another_identity(tmp_path: Path, checkpoints: list[Path]) -> None:
    path = put(checkpoints[0], tmp_path, "mine.pth")
    found = [find_weights(ModelSources(tmp_path), known(name), "mine.pth", "f") for name in (NAME, "squeezenet1_0")]
    assert found[0].weights == found[1].weights == path
    assert found[0].identity != found[1].identity


@pytest.mark.parametrize(("side", "interpolation"), [(384, "bicubic"), (224, "bilinear"), (160, "bilinear")])
def test_own_weights_of_a_vit_bring_the_image_size_that_they_were_trained_on(
    tmp_path: Path, side: int, interpolation: str
) -> None:
    positions = {"encoder.pos_embedding": torch.zeros(1, (side // 16) ** 2 + 1, 768)}
    save_file(positions, tmp_path / "mine.safetensors")
    transform = find_weights(ModelSources(tmp_path), known("vit_b_16"), "mine.safetensors", "f").transform
    assert (transform.crop, transform.interpolation) == ((side, side), interpolation)


def test_every_published_transform_is_read() -> None:
    for items in architectures().values():
        for item in items:
            for weights in item.published.values():
                transform, preset = transform_of(weights), weights.transforms()
                assert [transform.crop[0]] == preset.crop_size
                assert transform.mean == tuple(preset.mean)
            assert without_weights(item).transform == transform_of(get_model_weights(item.name).DEFAULT)


def test_found_weights_are_those_that_are_loaded(tmp_path: Path, checkpoints: list[Path], item: Publishing) -> None:
    for path in checkpoints:
        put(path, tmp_path)
    first, second = (features(loaded(tmp_path, item, name)) for name in item.published)
    assert not torch.equal(first, second)
    assert torch.equal(first, features(loaded(tmp_path, item, None)))
