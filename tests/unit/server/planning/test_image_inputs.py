"""Image inputs: architecture, weights, transform, what is stored, each with its origin; refused is what cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from headstart_server.core.errors import InvalidInputError
from headstart_server.encoders.sources import ModelSources
from headstart_server.planning import pretrained as pretrained_module
from headstart_server.planning.image_inputs import ImagePlan
from headstart_server.planning.inputs import plan_inputs
from headstart_server.planning.job_plan import check_spec
from headstart_server.planning.resolution import Origin, Resolution
from headstart_server.spec.defaults import apply_defaults
from headstart_server.spec.parse import parse_values
from torchvision.models import get_model

from tests.support.tiny_vision import save_vit

FEATURE = "input_features[0]"


@pytest.fixture(autouse=True)
def fast_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained_module, "fast_precision", lambda _: "bf16")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model root with own weights of a SqueezeNet, and a ViT in transformers' layout."""
    root = tmp_path_factory.mktemp("root")
    (root / "squeezenet1_1").mkdir()
    torch.save(get_model("squeezenet1_1", weights=None).state_dict(), root / "squeezenet1_1" / "own.pth")
    save_vit(root / "vit")
    return root


def planned(root: Path, encoder: dict[str, Any], **changes: Any) -> tuple[ImagePlan, Resolution]:
    feature = {"name": "photo", "type": "image", "encoder": encoder, **changes}
    values = {"input_features": [feature], "output_features": [{"name": "y", "type": "category"}]}
    spec = parse_values(values)
    resolution = Resolution.of(spec)
    check_spec(spec, ModelSources(root), "cpu")
    plan = plan_inputs(apply_defaults(spec), ModelSources(root), resolution, "cpu")["photo"]
    assert isinstance(plan, ImagePlan)
    return plan, resolution


def origin(resolution: Resolution, path: str) -> tuple[Any, Origin]:
    found = resolution.resolved[f"{FEATURE}.{path}"]
    return found.value, found.origin


def test_a_family_takes_its_smallest_variant_and_the_weights_on_hand(root: Path) -> None:
    plan, resolution = planned(root, {"type": "squeezenet"})
    assert origin(resolution, "encoder.model_variant") == ("1_1", Origin.RULE)
    assert (plan.dimension, plan.reduction, plan.tuning.trains, plan.cached) == (512, "features", False, True)
    assert plan.transform.crop == (224, 224)
    assert origin(resolution, "encoder.pretrained_model_name_or_path")[0] == plan.source.name


def test_random_weights_are_trained_with_the_published_transform(root: Path) -> None:
    plan, _ = planned(root, {"type": "vit", "model_variant": "h_14", "use_pretrained": False})
    assert (plan.tuning.trains, plan.cached, plan.precision) == (True, False, "fp32")
    assert plan.transform.crop == (518, 518)


def test_a_transformers_model_brings_its_own_transform(root: Path) -> None:
    plan, resolution = planned(root, {"type": "auto_transformer", "pretrained_model_name_or_path": "vit"})
    assert (plan.dimension, plan.transform.crop) == (32, (32, 32))
    assert origin(resolution, "encoder.reduce_output")[0] == "cls"


def test_a_space_changes_with_weights_transform_and_view(root: Path) -> None:
    flips = {"augmentation": [{"type": "random_horizontal_flip"}], "preprocessing": {"cached_views": 2}}
    plan, _ = planned(root, {"type": "squeezenet"}, **flips)
    other, _ = planned(root, {"type": "auto_transformer", "pretrained_model_name_or_path": "vit"})
    spaces = [plan.space, plan.view_spaces[0], plan.view_spaces[1], other.space]
    assert len({space.identifier for space in spaces}) == 4
    assert planned(root, {"type": "squeezenet"})[0].space == plan.space


@pytest.mark.parametrize(
    ("encoder", "changes", "message"),
    [
        ({"type": "resnett"}, {}, r"encoder\.type: .*did you mean 'resnet'"),
        ({"type": "bert"}, {}, r"encoder\.type: 'bert' is no encoder for image features"),
        ({"type": "resnet", "model_variant": "19"}, {}, r"encoder\.model_variant: '19' is no variant of resnet"),
        ({"type": "resnet"}, {}, r"encoder\.pretrained_model_name_or_path: no weights of resnet18: put resnet18-"),
        ({"type": "auto_transformer"}, {}, r"encoder\.pretrained_model_name_or_path: is missing.* vit"),
        (
            {"type": "squeezenet"},
            {"augmentation": True, "preprocessing": {"cache_encoder_embeddings": True}},
            r"cache_encoder_embeddings: true, but images are augmented anew .*cached_views",
        ),
        (
            {"type": "squeezenet", "trainable": True},
            {"augmentation": True, "preprocessing": {"cached_views": 3}},
            r"cached_views: 3, but nothing is cached: the encoder is trainable",
        ),
        ({"type": "squeezenet"}, {"preprocessing": {"cached_views": 3}}, r"cached_views"),
        ({"type": "squeezenet", "reduce_output": "mean"}, {}, r"reduce_output"),
        (
            {"type": "squeezenet", "use_pretrained": False, "pretrained_model_name_or_path": "mine.pth"},
            {},
            r"pretrained_model_name_or_path",
        ),
        (
            {"type": "auto_transformer", "pretrained_model_name_or_path": "vit", "model_variant": "b"},
            {},
            r"model_variant",
        ),
        ({"type": "squeezenet", "revision": "main"}, {}, r"revision"),
    ],
)
def test_what_cannot_be_is_refused_by_field(
    root: Path, encoder: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message) as caught:
        planned(root, encoder, **changes)
    assert all(violation.field.startswith(FEATURE) for violation in caught.value.violations)
