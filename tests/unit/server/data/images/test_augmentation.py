"""Augmented images depend on seed, epoch and row alone; every augmentation works and changes something."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from headstart_server.data.images.decode import BadImageError
from headstart_server.data.images.reader import ImageReader, default_crop
from headstart_server.data.images.transform import ImageTransform
from headstart_server.spec.augmentations import AUGMENTATIONS, METHODS
from torchvision.transforms.v2 import functional

from tests.support.images import HALVES, SMALL, augmentation, encoded, picture, png, reader, scanned

STEPS: list[str | dict[str, Any]] = [
    *AUGMENTATIONS,
    *({"type": "auto_augmentation", "method": method} for method in METHODS),
]
CERTAIN = {"random_horizontal_flip", "random_vertical_flip", "random_erasing"}
TWO = [png(0), png(1)]


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_every_augmentation_gives_crops_and_changes_something(step: str | dict[str, Any]) -> None:
    if isinstance(step, str) and step in CERTAIN:
        step = {"type": step, "parameters": {"probability": 1.0}}
    images = reader([png(0)], step)
    clean = images.crop(0, None)
    crops = [images.crop(0, epoch) for epoch in range(1, 9)]
    assert all(crop.shape == (3, 24, 24) and crop.dtype == torch.uint8 for crop in crops)
    assert any(not torch.equal(crop, clean) for crop in crops)


@pytest.mark.parametrize("step", STEPS, ids=str)
@pytest.mark.parametrize("size", [(1, 1), (3, 70)])
def test_every_augmentation_takes_grey_images_and_tiny_ones(step: str | dict[str, Any], size: tuple[int, int]) -> None:
    images = reader([encoded(picture(*size, mode="L"))], step)
    assert images.crop(0, 1).shape == (3, 24, 24)


def test_flips_are_torchvisions_own() -> None:
    for step, flip in (
        ("random_horizontal_flip", functional.horizontal_flip),
        ("random_vertical_flip", functional.vertical_flip),
    ):
        images = reader([png(0)], {"type": step, "parameters": {"probability": 1.0}})
        assert torch.equal(images.crop(0, 1), flip(images.crop(0, None)))
        images = reader([png(0)], {"type": step, "parameters": {"probability": 0.0}})
        assert torch.equal(images.crop(0, 1), images.crop(0, None))


def test_steps_follow_one_another() -> None:
    certain = {"parameters": {"probability": 1.0}}
    images = reader(
        [png(0)], {"type": "random_horizontal_flip", **certain}, {"type": "random_vertical_flip", **certain}
    )
    assert torch.equal(images.crop(0, 1), images.crop(0, None).flip(1, 2))


def test_what_nothing_fills_has_the_mean_colour() -> None:
    """A corner that turning leaves empty, and an area erased, is zero to the encoder as the default image is."""
    mean = default_crop(SMALL)[:, 0, 0].tolist()
    erased = {"type": "random_erasing", "parameters": {"probability": 1.0, "scale_min": 0.3, "scale_max": 0.3}}
    for step in ({"type": "random_rotate", "parameters": {"degree": 45.0}}, erased):
        images = reader([png(0)], step)
        assert any((images.crop(0, epoch).movedim(0, 2) == torch.tensor(mean)).all(2).sum() > 9 for epoch in range(9))


def test_a_random_crop_is_taken_from_the_whole_image_at_its_own_sharpness() -> None:
    """Of the file, not of what is left of it after the resize: one corner of 100 can fill the crop."""
    parts = {"scale_min": 0.05, "scale_max": 0.1}
    images = reader([encoded(picture(400, 300))], {"type": "random_resized_crop", "parameters": parts})
    crops = torch.stack([images.crop(0, epoch).float().mean((1, 2)) for epoch in range(20)])
    assert crops.std(0).min() > 10


def test_draws_differ_between_epochs_rows_and_seeds_and_come_again() -> None:
    """Two rows hold the same file."""
    same = [png(0), png(0)]
    images = reader(same, "random_resized_crop")
    drawn = [images.crop(0, 1), images.crop(0, 2), images.crop(1, 1), replace(images, seed=1).crop(0, 1)]
    assert not any(torch.equal(one, two) for index, one in enumerate(drawn) for two in drawn[:index])
    assert torch.equal(images.crop(0, 1), drawn[0])
    assert torch.equal(images.crop(0, None), images.crop(1, None))


def test_stored_views_depend_on_content_not_on_row() -> None:
    images = replace(reader([png(0), png(1), png(0)], "random_resized_crop"), by_content=True)
    other = replace(reader([png(5), png(0)], "random_resized_crop"), by_content=True)
    views = [images.crop(0, view) for view in range(3)]
    assert all(torch.equal(images.crop(2, view), views[view]) for view in range(3))
    assert all(torch.equal(other.crop(1, view), views[view]) for view in range(3))
    assert not any(torch.equal(one, two) for one, two in pairwise(views))


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_torchs_own_random_numbers_are_left_alone(step: str | dict[str, Any]) -> None:
    images = reader([png(0)], step)
    state = torch.get_rng_state()
    images.crop(0, 1)
    assert torch.equal(torch.get_rng_state(), state)


def test_gpus_random_numbers_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout draws there while this process loads images."""
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    reader([png(0)], "random_horizontal_flip").crop(0, 1)
    assert seeded == []


def test_random_numbers_are_put_back_after_a_bad_image_too() -> None:
    images = reader([png(0)], "random_horizontal_flip")
    state = torch.get_rng_state()
    with pytest.raises(BadImageError):
        images.crop_of(b"no image", 0, 1)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_default_image_is_never_augmented() -> None:
    images = reader([None], "random_horizontal_flip", "color_jitter", "random_erasing")
    assert all(torch.equal(images.crop(0, epoch), default_crop(SMALL)) for epoch in (None, 1, 2))


def test_crops_of_two_sides_keep_them() -> None:
    transform = ImageTransform((30, 40), (20, 36), "bicubic", HALVES, HALVES)
    for step in ("random_resized_crop", "random_rotate"):
        images = ImageReader(scanned(TWO), transform, augmentation(step))
        assert images.crop(1, 1).shape == (3, 20, 36)


def test_a_description_names_every_parameter_that_shapes_the_views() -> None:
    described = augmentation("random_rotate", "auto_augmentation").describe()
    assert described == [
        {"type": "random_rotate", "method": None, "parameters": {"degree": 15}},
        {"type": "auto_augmentation", "method": "trivial_augment", "parameters": {}},
    ]
