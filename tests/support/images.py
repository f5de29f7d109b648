"""Small images that tests make themselves: files of noise, good and damaged, and columns of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from headstart_server.data.images.augmentation import Augmentation
from headstart_server.data.images.column import ImageColumn
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.images.reader import ImageReader
from headstart_server.data.images.scan import ScannedImages, scan
from headstart_server.data.images.transform import ImageTransform
from headstart_server.data.tables import table_of_arrow
from headstart_server.spec.augmentations import settled
from headstart_server.spec.model import AugmentationSpec
from PIL import Image

HALVES = (0.5, 0.25, 0.75)
SMALL = ImageTransform(32, (24, 24), "bilinear", HALVES, HALVES)
"""A transform to small crops."""


def picture(width: int, height: int, seed: int = 0, mode: str = "RGB") -> Image.Image:
    """Noise over slopes, so that resizing has something to average and something to follow."""
    generator = np.random.default_rng([seed, width, height])
    slope = np.linspace(0, 200, width)[None, :, None] * np.linspace(0.2, 1, height)[:, None, None]
    pixels = np.clip(slope + generator.integers(0, 90, (height, width, 3)), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    """The file of an image."""
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def png(seed: int = 0, width: int = 40, height: int = 30) -> bytes:
    """A small PNG, another one for each seed."""
    return encoded(picture(width, height, seed))


def broken_jpeg(seed: int = 0) -> bytes:
    """A JPEG with a sound header whose second half is missing: only decoding finds out."""
    whole = encoded(picture(64, 48, seed), "JPEG")
    return whole[: len(whole) // 2]


def scanned(files: Sequence[bytes | None], limits: ImageLimits | None = None) -> ScannedImages:
    """A column of files that lie in the cells."""
    table = table_of_arrow(pa.table({"image": pa.array(files, pa.large_binary())}), "dataset")
    return scan(ImageColumn([table], "image", limits or ImageLimits()), np.arange(len(files)))


def augmentation(*steps: str | dict[str, Any]) -> Augmentation:
    """Steps as a spec names them, their other parameters at their defaults."""
    specs = [AugmentationSpec.model_validate({"type": step} if isinstance(step, str) else step) for step in steps]
    return Augmentation(tuple(map(settled, specs)))


def reader(files: Sequence[bytes | None], *steps: str | dict[str, Any], seed: int = 0) -> ImageReader:
    """Reads files as small crops, augmented by some steps."""
    return ImageReader(scanned(files), SMALL, augmentation(*steps) if steps else None, seed)
