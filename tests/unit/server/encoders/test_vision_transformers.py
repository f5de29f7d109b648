"""transformers' vision models embed images as transformers' own processor and model do, and leave in both formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from headstart_server.core.errors import InvalidInputError
from headstart_server.encoders.image import ImageEncoder, dimension_of, load_image_encoder
from headstart_server.encoders.sources import ModelSource, ModelSources
from headstart_server.encoders.vision_processors import vision_transform
from headstart_server.encoders.vision_transformers import (
    check_vision_source,
    default_reduction,
    require_fitting_transform,
)
from PIL import Image
from torch import Tensor

from tests.support.tiny_vision import SAVERS, save_convnext, save_vit

SIZES = [(60, 47), (33, 90), (400, 333), (32, 32), (7, 11)]
"""Widths and heights: stretched, cut with an even and an odd rest, as they are, enlarged."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("vision")
    return {name: save(root / name) for name, save in SAVERS.items()}


def pictures() -> list[Image.Image]:
    """Smooth ones, of several sizes."""
    noise = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    return [Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC) for size in SIZES]


def embedded(folder: Path, reduction: str | None = None) -> Tensor:
    """What this server makes of the pictures."""
    source = ModelSource("tiny", folder)
    reduction = reduction or default_reduction(source)
    check_vision_source(source, reduction, "f")
    transform = vision_transform(source, "f")
    encoder = load_image_encoder(source, transform, reduction, use_pretrained=True, field="f")
    crops = np.stack([transform.cropped(transform.sized(picture)) for picture in pictures()])
    with torch.inference_mode():
        found: torch.Tensor = encoder(torch.from_numpy(crops))
        return found


def by_transformers(folder: Path) -> Any:
    """What transformers' own processor and model make of the pictures."""
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = transformers.AutoModel.from_pretrained(folder).eval()
    model = getattr(model, "vision_model", model)
    pixels = torch.cat([processor(picture, return_tensors="pt")["pixel_values"] for picture in pictures()])
    with torch.inference_mode():
        return model(pixel_values=pixels)


@pytest.mark.parametrize("name", SAVERS)
def test_embeddings_are_those_of_transformers(folders: dict[str, Path], name: str) -> None:
    output = by_transformers(folders[name])
    pooled = name in ("clip", "clip_vision", "siglip", "convnext")
    expected = output.pooler_output if pooled else output.last_hidden_state[:, 0]
    found = embedded(folders[name])
    assert found.shape == (len(SIZES), dimension_of(ModelSource("tiny", folders[name]))) == (len(SIZES), 32)
    torch.testing.assert_close(found, expected.flatten(1), rtol=0, atol=1e-4)
    assert expected.std(0).min() > 1e-3  # or else they would be equal whatever is done


def test_the_mean_is_over_every_position(folders: dict[str, Path]) -> None:
    expected = by_transformers(folders["vit"]).last_hidden_state.mean(1)
    torch.testing.assert_close(embedded(folders["vit"], "mean"), expected, rtol=0, atol=1e-4)


def test_a_convnext_of_384_pixels_stretches_its_images(tmp_path: Path) -> None:
    folder = save_convnext(tmp_path / "convnext", side=384)
    torch.testing.assert_close(embedded(folder), by_transformers(folder).pooler_output.flatten(1), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", SAVERS)
def test_random_weights_have_the_same_shape_and_other_values(folders: dict[str, Path], name: str) -> None:
    source = ModelSource("tiny", folders[name])
    transform = vision_transform(source, "f")

    def encoder(use_pretrained: bool) -> ImageEncoder:
        reduction = default_reduction(source)
        return load_image_encoder(source, transform, reduction, use_pretrained=use_pretrained, field="f")

    crops = torch.rand(2, 3, *transform.crop) * 255
    with torch.inference_mode():
        pretrained, random = encoder(True)(crops), encoder(False)(crops)
    assert pretrained.shape == random.shape
    assert not torch.allclose(pretrained, random)


def changed(folder: Path, **values: Any) -> ModelSource:
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return ModelSource("tiny", folder)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"do_resize": False}, "do_resize: false"),
        ({"do_pad": True}, "do_pad"),
        ({"do_flip_channel_order": True}, "do_flip_channel_order"),
        ({"size": {"shortest_edge": 32}}, "size.shortest_edge without do_center_crop"),
        ({"size": {"shortest_edge": 32, "longest_edge": 64}}, "size.longest_edge"),
        ({"crop_pct": 0.9}, "crop_pct"),
        ({"resample": 0}, "0"),
        ({"size": "large"}, "string indices"),
        ({"image_mean": None}, "image_mean is None"),
        ({"image_mean": ["a", "b", "c"]}, "image_mean is 'a'"),
        ({"image_std": [1, 1]}, "image_std is [1, 1]"),
        ({"image_std": [1, 1, 0]}, "image_std is 0"),
        ({"rescale_factor": 0}, "rescale_factor is 0"),
        ({"rescale_factor": float("inf")}, "rescale_factor is inf"),
        ({"resample": float("inf")}, "infinity"),
        ({"do_normalize": "no"}, "do_normalize is 'no'"),
        ({"size": {"height": 0, "width": 32}}, "size.height is 0"),
        ({"size": {"height": 32, "width": 10**9}}, "size.width is 1000000000"),
        ({"size": {"height": True, "width": 32}}, "size.height is True"),
    ],
)
def test_processing_that_is_not_known_here_is_refused_by_name(
    tmp_path: Path, values: dict[str, Any], named: str
) -> None:
    source = changed(save_vit(tmp_path / "vit"), **values)
    with pytest.raises(InvalidInputError, match=r"f: 'tiny': preprocessor_config.json asks for a transform") as caught:
        vision_transform(source, "f")
    assert named in str(caught.value)


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_folder_without_a_readable_processor_is_refused(tmp_path: Path, content: str | None) -> None:
    path = save_vit(tmp_path / "vit") / "preprocessor_config.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(InvalidInputError, match=r"preprocessor_config\.json"):
        vision_transform(ModelSource("tiny", path.parent), "f")


def test_a_transform_within_a_whole_processor_is_the_same(tmp_path: Path) -> None:
    source = ModelSource("tiny", save_vit(tmp_path))
    expected, alone = vision_transform(source, "f"), source.identity
    own = tmp_path / "preprocessor_config.json"
    whole = {"image_processor": json.loads(own.read_text()), "processor_class": "CLIPProcessor"}
    (tmp_path / "processor_config.json").write_text(json.dumps(whole))
    own.unlink()
    kept = ModelSource("tiny", tmp_path)
    assert vision_transform(kept, "f") == expected
    assert kept.identity != alone


@pytest.mark.parametrize("side", [3, 16, 64])
def test_images_of_a_size_that_the_model_does_not_read_are_refused(tmp_path: Path, side: int) -> None:
    source = changed(save_vit(tmp_path / "vit"), size={"height": side, "width": side})
    with pytest.raises(InvalidInputError, match=rf"reads no images.*preprocessor_config\.json.*{side} x {side}"):
        require_fitting_transform(source, vision_transform(source, "f"), "f")


@pytest.mark.parametrize("name", SAVERS)
def test_images_of_a_model_s_own_size_are_taken(folders: dict[str, Path], name: str) -> None:
    source = ModelSource("tiny", folders[name])
    require_fitting_transform(source, vision_transform(source, "f"), "f")


def test_the_mean_of_convolutions_is_over_every_place(folders: dict[str, Path]) -> None:
    expected = by_transformers(folders["convnext"]).last_hidden_state.mean((2, 3))
    torch.testing.assert_close(embedded(folders["convnext"], "mean"), expected, rtol=0, atol=1e-4)


def test_a_text_model_is_no_image_encoder(tiny_bert: Path) -> None:
    with pytest.raises(InvalidInputError, match="transformers has no image encoder for 'bert'"):
        check_vision_source(ModelSource("tiny", tiny_bert), "cls", "f")


def test_a_model_that_pools_by_itself_takes_no_other_reduction(folders: dict[str, Path]) -> None:
    field = "input_features[0].encoder.pretrained_model_name_or_path"
    with pytest.raises(InvalidInputError, match=r"encoder\.reduce_output: 'max' is not for clip"):
        check_vision_source(ModelSource("tiny", folders["clip"]), "max", field)


def test_vision_models_in_the_model_root_are_on_hand(folders: dict[str, Path]) -> None:
    sources = ModelSources(folders["vit"].parent)
    assert set(SAVERS) <= set(sources.on_hand())
    assert sources.find("clip", None, "f").folder == folders["clip"]


def test_a_pooler_that_is_not_there_is_never_drawn_at_random(tmp_path: Path) -> None:
    """A folder saved from a classifier has none; what transformers draws instead would be stored as its own."""
    folder = save_vit(tmp_path / "vit")
    classifier = transformers.ViTForImageClassification(transformers.AutoConfig.from_pretrained(folder))
    classifier.save_pretrained(folder)
    with pytest.raises(InvalidInputError, match=r"lacks 2 weights of .* \(pooler.*use reduce_output cls or mean"):
        embedded(folder, "cls_pooled")
    assert torch.equal(embedded(folder, "cls"), embedded(folder, "cls"))
