"""Stored and augmented image inputs: what is refused, and what makes one embedding space another."""

from pathlib import Path
from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError, Violation
from headstart_server.encoders.sources import ModelSources
from headstart_server.planning import pretrained as pretrained_module
from headstart_server.planning.image_inputs import ImagePlan
from headstart_server.planning.inputs import plan_inputs
from headstart_server.planning.resolution import Origin, Resolution
from headstart_server.spec.defaults import apply_defaults
from headstart_server.spec.parse import parse_values

from tests.support.images import scanned

PATH = "input_features[0]"
CROP = [{"type": "random_resized_crop"}]


@pytest.fixture(autouse=True)
def fast_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained_module, "fast_precision", lambda _: "fp32")


@pytest.fixture
def sources(tmp_path: Path) -> ModelSources:
    """A model root with weights that are found, not read."""
    (tmp_path / "mobilenet_v2").mkdir()
    (tmp_path / "mobilenet_v2/own.safetensors").write_bytes(b"weights")
    return ModelSources(tmp_path)


def _plan(
    sources: ModelSources,
    encoder: dict[str, Any] | None = None,
    preprocessing: dict[str, Any] | None = None,
    seed: int = 0,
    **changes: Any,
) -> tuple[ImagePlan, Resolution]:
    encoder = {"type": "mobilenetv2", **(encoder or {})}
    feature = {"name": "photo", "type": "image", "encoder": encoder, "preprocessing": preprocessing or {}, **changes}
    spec = parse_values(
        {
            "input_features": [feature],
            "output_features": [{"name": "label", "type": "category"}],
            "trainer": {"random_seed": seed},
        }
    )
    resolution = Resolution.of(spec)
    plan = plan_inputs(apply_defaults(spec), sources, resolution, "cpu")["photo"]
    assert isinstance(plan, ImagePlan)
    return plan, resolution


def _refused(sources: ModelSources, *arguments: Any, **changes: Any) -> Violation:
    with pytest.raises(InvalidInputError) as caught:
        _plan(sources, *arguments, **changes)
    [violation] = caught.value.violations
    return violation


def test_a_frozen_encoder_of_clean_images_is_stored(sources: ModelSources) -> None:
    plan, resolution = _plan(sources)
    assert (plan.cached, plan.views, plan.augmentation) == (True, 0, None)
    assert resolution.resolved[f"{PATH}.preprocessing.cache_encoder_embeddings"].origin == Origin.RULE
    assert resolution.resolved[f"{PATH}.preprocessing.bad_image_policy"].value == "fail"


def test_augmented_features_are_not_stored_and_the_spec_says_why(sources: ModelSources) -> None:
    plan, resolution = _plan(sources, augmentation=CROP)
    assert (plan.cached, plan.views) == (False, 0)
    settled = resolution.resolved[f"{PATH}.preprocessing.cache_encoder_embeddings"]
    assert (settled.value, settled.reason) == (False, "images are augmented anew in every epoch")


def test_views_are_stored_where_they_are_asked_for(sources: ModelSources) -> None:
    plan, _ = _plan(sources, preprocessing={"cached_views": 3}, augmentation=True)
    assert (plan.cached, plan.views) == (True, 3)
    assert plan.augmentation is not None
    assert [step.parameters for step in plan.augmentation.steps] == [{"probability": 0.5}, {"degree": 15}]


@pytest.mark.parametrize(
    ("encoder", "preprocessing", "field", "words"),
    [
        ({"trainable": True}, {"cached_views": 3}, "cached_views", "the encoder is trainable"),
        ({"use_pretrained": False}, {"cached_views": 3}, "cached_views", "the encoder is trainable"),
        ({}, {"cached_views": 3, "cache_encoder_embeddings": False}, "cached_views", "it is switched off"),
        ({}, {"cache_encoder_embeddings": True}, "cache_encoder_embeddings", "set preprocessing.cached_views"),
        ({"trainable": True}, {"cache_encoder_embeddings": True}, "cache_encoder_embeddings", "every step"),
    ],
)
def test_a_cache_that_cannot_be_right_is_refused_with_what_to_do(
    encoder: dict[str, Any], preprocessing: dict[str, Any], field: str, words: str, sources: ModelSources
) -> None:
    violation = _refused(sources, encoder, preprocessing, augmentation=CROP)
    assert violation.field == f"{PATH}.preprocessing.{field}"
    assert words in violation.message


def test_spaces_tell_apart_what_their_embeddings_show(sources: ModelSources, tmp_path: Path) -> None:
    def spaces(**changes: Any) -> tuple[str, str, str]:
        plan, _ = _plan(sources, **{"preprocessing": {"cached_views": 2}, "augmentation": CROP, **changes})
        return plan.space.identifier, plan.view_spaces[0].identifier, plan.view_spaces[1].identifier

    clean, first, second = spaces()
    assert len({clean, first, second}) == 3
    assert spaces(preprocessing={"cached_views": 5}) == (clean, first, second), "more views leave the first as they are"
    others = [
        spaces(seed=1),
        spaces(augmentation=["random_rotate"]),
        spaces(augmentation=[{"type": "random_resized_crop", "scale_min": 0.5}]),
    ]
    assert all(other[0] == clean for other in others), "clean images are not augmented"
    assert len({space for other in others for space in other[1:]} | {first, second}) == 8
    (tmp_path / "mobilenet_v2/own.safetensors").write_bytes(b"other weights")
    assert not {clean, first, second} & set(spaces())


def test_views_follow_content_and_epochs_follow_rows(sources: ModelSources) -> None:
    plan, _ = _plan(sources, preprocessing={"cached_views": 2}, augmentation=CROP, seed=7)
    images = scanned([None])
    assert (plan.reader(images).by_content, plan.view_reader(images).by_content) == (False, True)
    assert plan.reader(images).seed == plan.view_reader(images).seed == 7


def test_a_blur_wider_than_the_images_is_refused(sources: ModelSources, tmp_path: Path) -> None:
    """Of an encoder of 30 x 40 images; torchvision's have at least 224."""
    from transformers import ViTConfig, ViTImageProcessorPil

    config = ViTConfig(image_size=(30, 40), patch_size=10, hidden_size=16, num_attention_heads=2, num_hidden_layers=1)
    config.save_pretrained(tmp_path / "vit")
    ViTImageProcessorPil(size={"height": 30, "width": 40}).save_pretrained(tmp_path / "vit")
    (tmp_path / "vit/model.safetensors").write_bytes(b"weights")
    encoder = {"type": "auto_transformer", "pretrained_model_name_or_path": "vit"}
    blur = {"type": "random_blur", "kernel_size": 61}
    violation = _refused(sources, encoder, augmentation=["random_rotate", blur])
    assert violation.field == f"{PATH}.augmentation[1].parameters.kernel_size"
    assert "61 is too large for this encoder's 30 x 40 images; use 59 or less" in violation.message
    plan, _ = _plan(sources, encoder, augmentation=[{**blur, "kernel_size": 59}])
    assert plan.augmentation is not None


def test_a_blur_as_wide_as_is_allowed_works() -> None:
    from headstart_server.data.images.transform import ImageTransform

    from tests.support.images import HALVES, augmentation, picture

    transform = ImageTransform(30, (30, 30), "bilinear", HALVES, HALVES)
    widest = augmentation({"type": "random_blur", "parameters": {"kernel_size": 59.0}})
    assert widest.apply(picture(40, 40), transform, [1]).shape == (3, 30, 30)
    wider = augmentation({"type": "random_blur", "parameters": {"kernel_size": 61.0}})
    with pytest.raises(RuntimeError, match=r"[Pp]adding"):
        wider.apply(picture(40, 40), transform, [1])
