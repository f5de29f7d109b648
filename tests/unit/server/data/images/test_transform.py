"""Crops are torchvision's and transformers' own, and the steps inside a graph give what Pillow gives."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
import transformers
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.images.reader import crop_of, default_crop, sized_of
from headstart_server.data.images.transform import ImageTransform
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.torchvision_models import transform_of
from headstart_server.encoders.vision_processors import vision_transform
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from tests.support.images import HALVES, encoded, picture

ONE_IN = 50
"""Share of values that a graph may round the other way."""
SIZES = [(1, 1), (7, 3), (225, 224), (101, 333), (500, 375), (640, 121)]
PRESETS = [
    "MobileNet_V2_Weights.IMAGENET1K_V2",  # 232, 224, bilinear
    "EfficientNet_B1_Weights.IMAGENET1K_V1",  # 256, 240, bicubic
    "EfficientNet_B2_Weights.IMAGENET1K_V1",  # 288, 288: cut on two sides only
    "Inception_V3_Weights.IMAGENET1K_V1",  # 342, 299
    "Swin_V2_T_Weights.IMAGENET1K_V1",  # 260, 256, bicubic
    "ViT_B_16_Weights.IMAGENET1K_SWAG_LINEAR_V1",  # 224, 224, bicubic
]


def _through(transform: ImageTransform, image: Image.Image) -> Tensor:
    return torch.from_numpy(crop_of(encoded(image), transform, ImageLimits(max_ratio=10_000)))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("size", SIZES)
def test_crops_are_the_presets_own_to_the_last_bit(preset: str, size: tuple[int, int]) -> None:
    weights = torchvision.models.get_weight(preset)
    transform, image = transform_of(weights), picture(*size)
    expected = weights.transforms()(image)
    assert torch.equal(transform.normalised(_through(transform, image).float()), expected)


def test_grey_images_are_read_as_three_equal_channels() -> None:
    weights = torchvision.models.get_weight(PRESETS[0])
    transform, grey = transform_of(weights), picture(300, 241, mode="L")
    expected = weights.transforms()(grey.convert("RGB"))
    assert torch.equal(transform.normalised(_through(transform, grey).float()), expected)


PROCESSORS: dict[str, Any] = {
    "vit": transformers.ViTImageProcessorPil(size={"height": 30, "width": 40}),
    "clip": transformers.CLIPImageProcessorPil(size={"shortest_edge": 40}, crop_size={"height": 33, "width": 40}),
    "siglip": transformers.SiglipImageProcessorPil(
        size={"height": 32, "width": 32}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    ),
    "dinov2": transformers.BitImageProcessorPil(
        size={"shortest_edge": 51}, crop_size={"height": 45, "width": 45}, image_mean=[0.485, 0.456, 0.406]
    ),
    "neither rescaled nor normalised": transformers.ViTImageProcessorPil(
        size={"height": 32, "width": 32}, do_rescale=False, do_normalize=False
    ),
    "rescaled otherwise": transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}, rescale_factor=1 / 127.5),
}


@pytest.mark.parametrize("name", PROCESSORS)
@pytest.mark.parametrize("size", [(1, 1), (64, 47), (30, 90), (33, 120), (40, 31)])
def test_crops_are_those_of_transformers_processors(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    processor = PROCESSORS[name]
    processor.save_pretrained(tmp_path)
    transform = vision_transform(ModelSource(name, tmp_path), "field")
    image = picture(*size)
    expected = torch.as_tensor(np.array(processor(image, return_tensors="np")["pixel_values"][0])).float()
    found = transform.normalised(_through(transform, image).float())
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-5)


@st.composite
def _transforms(draw: st.DrawFn) -> ImageTransform:
    side = st.integers(2, 70)
    resize: int | tuple[int, int] = draw(st.one_of(side, st.tuples(side, side)))
    most = (resize, resize) if isinstance(resize, int) else resize
    crop = draw(st.integers(1, most[0])), draw(st.integers(1, most[1]))
    return ImageTransform(resize, crop, draw(st.sampled_from(["bilinear", "bicubic"])), HALVES, HALVES)


def _difference(transform: ImageTransform, image: Image.Image) -> Tensor:
    """Between what a graph makes of an image and what Pillow does."""
    expected = torch.from_numpy(transform.cropped(transform.sized(image))).float()
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None]
    return (transform.resized(pixels)[0] - expected).abs()


@example(ImageTransform(66, (5, 2), "bilinear", HALVES, HALVES), 36, 46, 43)
@given(_transforms(), st.integers(1, 90), st.integers(1, 90), st.integers(0, 99))
def test_a_graph_resizes_as_pillow_does_but_for_the_last_digit(
    transform: ImageTransform, width: int, height: int, seed: int
) -> None:
    image = picture(width, height, seed)
    if transform.interpolation == "bicubic":  # Overshoot is clipped after each pass: the order of the two would tell.
        image = image.point(lambda value: 64 + value // 2)
    # a tie may be rounded the other way after the first pass, and what is one off by then once more after the second
    assert _difference(transform, image).max() <= (3 if transform.interpolation == "bicubic" else 2)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(320, 240), (240, 320), (200, 200), (499, 333), (101, 77), (77, 101), (640, 121)])
def test_a_graph_rounds_few_values_of_a_photos_shape_the_other_way(size: tuple[int, int], interpolation: str) -> None:
    transform = ImageTransform(128, (112, 112), interpolation, HALVES, HALVES)
    difference = _difference(transform, picture(*size))
    assert difference.max() <= 1
    assert (difference > 0).sum() <= difference.numel() / ONE_IN


@given(_transforms(), st.integers(1, 60), st.integers(0, 99))
def test_a_graph_leaves_what_has_the_right_size_alone(transform: ImageTransform, extra: int, seed: int) -> None:
    height, width = (
        (transform.resize, transform.resize + extra) if isinstance(transform.resize, int) else transform.resize
    )
    image = picture(width, height, seed)
    assert (transform.sized(image) == np.asarray(image).transpose(2, 0, 1)).all()
    pixels = torch.from_numpy(transform.sized(image))[None]
    assert torch.equal(
        transform.resized(pixels)[0], torch.from_numpy(transform.cropped(transform.sized(image))).float()
    )


def test_ties_are_rounded_up_as_pillow_rounds_them() -> None:
    transform = ImageTransform((1, 8), (1, 8), "bilinear", HALVES, HALVES)
    columns = np.array([[0, 10, 253, 3, 100, 7, 254, 1], [1, 11, 254, 4, 101, 8, 255, 0]], np.uint8)
    image = Image.fromarray(np.repeat(columns[..., None], 3, axis=2))
    assert transform.sized(image)[0, 0].tolist() == [1, 11, 254, 4, 101, 8, 255, 1]
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None]
    assert transform.resized(pixels)[0, 0, 0].tolist() == [1, 11, 254, 4, 101, 8, 255, 1]


def test_a_graph_takes_batches_of_any_size_and_normalises() -> None:
    transform = ImageTransform(32, (24, 20), "bicubic", HALVES, HALVES)
    pixels = torch.stack([torch.from_numpy(np.asarray(picture(50, 41, seed)).copy()) for seed in range(3)])
    found = transform.normalised(transform.resized(pixels.permute(0, 3, 1, 2)))
    assert found.shape == (3, 3, 24, 20)
    for seed in range(3):
        crop = _through(transform, picture(50, 41, seed)).float() / 255
        expected = (crop - torch.tensor(HALVES)[:, None, None]) / torch.tensor(HALVES)[:, None, None]
        assert (found[seed] - expected).abs().max() < 3 / 255 / min(HALVES)


def test_the_default_image_is_zero_once_normalised() -> None:
    transform = ImageTransform(32, (24, 20), "bilinear", (0.2, 0.4, 0.6), (0.1, 0.2, 0.3))
    crop = default_crop(transform)
    assert crop.shape == (3, 24, 20)
    assert transform.normalised(crop.float()).abs().max() < 0.5 / 255 / 0.1 + 1e-6
    assert (sized_of(None, transform, ImageLimits()) == crop.numpy()).all()


@given(_transforms())
def test_a_transform_is_what_its_description_says(transform: ImageTransform) -> None:
    assert ImageTransform.from_description(transform.describe()) == transform


@pytest.mark.parametrize("resize", [24, (30, 24)])
def test_a_crop_that_does_not_fit_is_refused(resize: int | tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        ImageTransform(resize, (24, 25), "bilinear", HALVES, HALVES)
