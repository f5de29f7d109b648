"""Checkpoints as people have them are loaded without their classifiers; those that are wrong are refused by name."""

from __future__ import annotations

import os
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from headstart_server.core.errors import InvalidInputError
from headstart_server.encoders.torchvision_checkpoints import read_checkpoint
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import get_model

from tests.models.reference import features_of, reference_model
from tests.support.checkpoints import CROPS, features, known, loaded

State = dict[str, Any]
NAME = "mnasnet0_5"
"""Small, with batch norms, and the one model that reads the version in a checkpoint's metadata."""


@pytest.fixture(scope="module")
def whole() -> nn.Module:
    return reference_model(NAME, (64, 64))


@pytest.fixture(scope="module")
def expected(whole: nn.Module) -> Tensor:
    """What torchvision's own model feeds its classifier."""
    return features_of(whole, normalised())


def normalised() -> Tensor:
    """The crops as torchvision normalises them."""
    mean, std = (torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return (CROPS / 255 - mean) / std


def prefixed(prefix: str) -> Callable[[State], State]:
    return lambda state: {f"{prefix}{key}": value for key, value in state.items()}


def reheaded(state: State, name: str) -> State:
    """As after `model.classifier = nn.Linear(1280, 2)`, or with a classifier of that name."""
    kept = {key: value for key, value in state.items() if not key.startswith("classifier")}
    return {**kept, f"{name}.weight": torch.ones(2, 1280), f"{name}.bias": torch.ones(2)}


FORMS: dict[str, Callable[[State], State]] = {
    "as it is": lambda state: state,
    "of two classes": lambda state: reheaded(state, "classifier.1"),
    "with a classifier of another make": lambda state: reheaded(state, "classifier"),
    "with a classifier of several layers": lambda state: reheaded(state, "classifier.1.3"),
    "without a classifier": lambda state: {key: state[key] for key in state if not key.startswith("classifier")},
    "of DataParallel": prefixed("module."),
    "compiled": prefixed("_orig_mod."),
    "compiled of DataParallel": prefixed("module._orig_mod."),
    "within a training's state": lambda state: {"epoch": 3, "state_dict": state, "optimizer": {"state": {0: 1}}},
    "of torchvision's reference scripts": lambda state: {"model": prefixed("module.")(state), "epoch": 3},
    "without counters": lambda state: {key: state[key] for key in state if not key.endswith("num_batches_tracked")},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_checkpoint_gives_torchvisions_own_features(
    tmp_path: Path, whole: nn.Module, expected: Tensor, form: str
) -> None:
    torch.save(FORMS[form](dict(whole.state_dict())), tmp_path / "own.pth")
    torch.testing.assert_close(features(loaded(tmp_path, known(NAME), "own.pth")), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ending", ["safetensors", "pt", "pth of before torch 1.6"])
def test_every_file_format_is_read(tmp_path: Path, whole: nn.Module, expected: Tensor, ending: str) -> None:
    path = tmp_path / f"own.{ending.split()[0]}"
    if ending == "safetensors":
        save_file(prefixed("module.")(dict(whole.state_dict())), path)
    else:
        torch.save(whole.state_dict(), path, _use_new_zipfile_serialization=ending == "pt")
    torch.testing.assert_close(features(loaded(tmp_path, known(NAME), path.name)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_precision_are_computed_with_in_float32(
    tmp_path: Path, whole: nn.Module, dtype: torch.dtype
) -> None:
    halves = {key: value.to(dtype) if value.is_floating_point() else value for key, value in whole.state_dict().items()}
    torch.save(halves, tmp_path / "own.pth")
    torch.save({key: value.float() for key, value in halves.items()}, tmp_path / "same.pth")
    encoder = loaded(tmp_path, known(NAME), "own.pth")
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    assert torch.equal(features(encoder), features(loaded(tmp_path, known(NAME), "same.pth")))


def test_the_names_in_torchvisions_densenet_files_are_read(tmp_path: Path) -> None:
    model = reference_model("densenet121", (64, 64))
    torch.save(model.state_dict(), tmp_path / "new.pth")
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)\.", r"\1.\2.", key): value
        for key, value in model.state_dict().items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "old.pth")
    first, second = (features(loaded(tmp_path, known("densenet121"), name)) for name in ("new.pth", "old.pth"))
    assert torch.equal(first, second)


@pytest.mark.parametrize("aux", [True, False])
def test_googlenet_is_loaded_with_or_without_its_auxiliary_classifiers(tmp_path: Path, aux: bool) -> None:
    model = reference_model("googlenet", (64, 64))
    state = model.state_dict()
    assert any(key.startswith("aux") for key in state)
    torch.save({key: state[key] for key in state if aux or not key.startswith("aux")}, tmp_path / "own.pth")
    found = features(loaded(tmp_path, known("googlenet"), "own.pth"))
    torch.testing.assert_close(found, features_of(model, normalised()), rtol=1e-4, atol=1e-5)


class Executes:
    """What an attacker's pickle does when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_and_nothing_in_it_runs(tmp_path: Path, zipped: bool) -> None:
    state = {"features.0.weight": torch.ones(1), "x": Executes(tmp_path / "ran")}
    torch.save(state, tmp_path / "own.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(InvalidInputError, match=r"'own\.pth' holds more than tensors, which is never loaded") as caught:
        loaded(tmp_path, known(NAME), "own.pth")
    assert caught.value.reason == "UNSAFE_WEIGHTS"
    assert not (tmp_path / "ran").exists()


def test_a_whole_pickled_model_is_refused_with_what_to_save(tmp_path: Path) -> None:
    torch.save(get_model("squeezenet1_1", weights=None), tmp_path / "own.pth")
    with pytest.raises(InvalidInputError, match="save the model's state_dict alone"):
        loaded(tmp_path, known("squeezenet1_1"), "own.pth")


def damaged(whole: nn.Module, path: Path, *, zipped: bool) -> bytes:
    torch.save(whole.state_dict(), path, _use_new_zipfile_serialization=zipped)
    return path.read_bytes()[:100_000]


BROKEN: dict[str, Callable[[nn.Module, Path], bytes]] = {
    "empty": lambda *_: b"",
    "a page": lambda *_: b"<html>404</html>",
    "zeros": lambda *_: bytes(1000),
    "cut zip": lambda whole, path: damaged(whole, path, zipped=True),
    "cut": lambda whole, path: damaged(whole, path, zipped=False),
    "a plain pickle": lambda *_: pickle.dumps({"a": 1}, protocol=2),
}


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_checkpoint_is_refused_by_name(tmp_path: Path, whole: nn.Module, kind: str, ending: str) -> None:
    content = BROKEN[kind](whole, tmp_path / "scratch")
    (tmp_path / f"own.{ending}").write_bytes(content)
    with pytest.raises(InvalidInputError, match=rf"'own\.{ending}'"):
        loaded(tmp_path, known(NAME), f"own.{ending}")


def test_no_changed_byte_of_a_checkpoint_is_more_than_a_refusal(tmp_path: Path) -> None:
    path = tmp_path / "own.pth"
    torch.save({"features.0.weight": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    content, refused = path.read_bytes(), 0
    for index in range(0, len(content), 5):
        path.write_bytes(content[:index] + bytes([content[index] ^ 0x55]) + content[index + 1 :])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read_checkpoint(path, "own.pth", "f")
            except InvalidInputError:
                refused += 1
    assert refused > len(content) / 20


def test_a_file_with_something_else_than_weights_by_name_is_refused(tmp_path: Path) -> None:
    torch.save([torch.ones(1)], tmp_path / "own.pth")
    with pytest.raises(InvalidInputError, match=r"'own\.pth' holds a list; save its state_dict"):
        loaded(tmp_path, known(NAME), "own.pth")


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("squeezenet1_1", r"lacks features\..* and has layers\..* beyond it"),
        ("mnasnet0_75", r"has another shape in layers\."),
    ],
)
def test_weights_of_another_architecture_are_refused_with_what_differs(
    tmp_path: Path, whole: nn.Module, architecture: str, message: str
) -> None:
    torch.save(whole.state_dict(), tmp_path / "own.pth")
    with pytest.raises(
        InvalidInputError, match=rf"'own\.pth' is no checkpoint of torchvision's {architecture}: it {message}"
    ) as caught:
        loaded(tmp_path, known(architecture), "own.pth")
    assert caught.value.reason == "WRONG_WEIGHTS"


def test_a_name_that_holds_no_tensor_is_another_shape(tmp_path: Path, whole: nn.Module) -> None:
    torch.save({**whole.state_dict(), "layers.0.weight": 3}, tmp_path / "own.pth")
    with pytest.raises(InvalidInputError, match=r"has another shape in layers\.0\.weight"):
        loaded(tmp_path, known(NAME), "own.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path: Path, whole: nn.Module, value: float) -> None:
    state = {key: tensor.clone() for key, tensor in whole.state_dict().items()}
    state["layers.0.weight"][3, 0, 0, 0] = value
    torch.save(state, tmp_path / "own.pth")
    with pytest.raises(InvalidInputError, match=r"has weights in layers\.0\.weight that are not finite") as caught:
        loaded(tmp_path, known(NAME), "own.pth")
    assert caught.value.reason == "WRONG_WEIGHTS"


@pytest.mark.skipif("HEADSTART_TEST_DATA" not in os.environ, reason="HEADSTART_TEST_DATA names no shared data")
@pytest.mark.parametrize("name", ["squeezenet1_0", "mobilenet_v2"])
def test_real_checkpoints_give_torchvisions_own_features(name: str) -> None:
    root = Path(os.environ["HEADSTART_TEST_DATA"]) / "weights"
    (path,) = (root / name).glob("*.pth")
    state = torch.load(path, map_location="cpu", weights_only=True)
    classes = len(state["classifier.1.weight"])
    model = get_model(name, weights=None, num_classes=classes).eval()
    model.load_state_dict(state)
    found = features(loaded(root, known(name), None))
    torch.testing.assert_close(found, features_of(model, normalised()), rtol=1e-4, atol=1e-5)
