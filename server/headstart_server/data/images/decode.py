"""Image files to pixels: JPEG, PNG, WebP, BMP and GIF by content, within limits, upright, as RGB."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from headstart_server.data.images.file_signatures import kind_of_file
from headstart_server.data.images.pillow_warnings import silenced

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
_REDUCING_GAP = 2
"""A JPEG is decoded at a fraction of its size as long as that is twice what is needed, which the resize cannot tell."""
_WIDE_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
_LARGE_PIXELS = 16_000_000
_LARGE = threading.Lock()
"""Held while a large image is decoded: a few hundred megabytes once, not on every thread."""
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class BadImageError(Exception):
    """A file that is no usable image; the message says why and what to do, without naming the row."""


@dataclass(frozen=True)
class ImageLimits:
    """What one image may be; the server's settings have the same names with `image` in them."""

    max_bytes: int = 64 << 20
    max_pixels: int = 64_000_000
    max_ratio: int = 100
    """Of the longer side to the shorter."""


@dataclass(frozen=True)
class Header:
    """What a file says of itself before it is decoded."""

    format: str
    width: int
    height: int


def inspect(data: bytes, limits: ImageLimits) -> Header:
    """Reads the header only; raises BadImageError for what is no image or above the limits."""
    with _opened(data, limits) as image:
        return Header(str(image.format), image.width, image.height)


def decode(data: bytes, limits: ImageLimits, least: int = 0) -> Image.Image:
    """The first frame as an RGB or grey image, upright by its EXIF orientation; raises BadImageError.

    Transparency is dropped and 16-bit values keep their upper 8 bits. Where neither side needs to be longer than
    `least` pixels, large JPEG files are decoded at a half, a quarter or an eighth (libjpeg's scaled decoding).
    """
    with _opened(data, limits) as image, _LARGE if image.width * image.height > _LARGE_PIXELS else nullcontext():
        if least:
            # Before `load`, which then decodes at that scale; of the formats read here, only JPEG's plugin takes it.
            image.draft(None, (_REDUCING_GAP * least, _REDUCING_GAP * least))
        image.load()
        turn = _UPRIGHT.get(_orientation(image))
        plain = _plain(image)
        return plain if turn is None else plain.transpose(turn)


def check_bytes(size: int, limits: ImageLimits) -> None:
    """Raises BadImageError for a file that is too large to be looked at."""
    if size > limits.max_bytes:
        raise BadImageError(
            f"the file has {size} bytes, at most {limits.max_bytes} are allowed (the server's max_image_bytes); "
            "save it smaller"
        )


@contextmanager
def _opened(data: bytes, limits: ImageLimits) -> Iterator[Image.Image]:
    check_bytes(len(data), limits)
    try:
        # Only these formats' plugins see the bytes, and `open` decodes no pixels.
        with silenced(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image.width, image.height, limits)
            yield image
    except BadImageError:
        raise
    except UnidentifiedImageError:
        raise BadImageError(kind_of_file(data)) from None
    except Image.DecompressionBombError:
        # Pillow's own bound, 2 x MAX_IMAGE_PIXELS, is checked while it opens, before there is a size to check here.
        raise BadImageError(
            f"it has far more than {limits.max_pixels} pixels (the server's max_image_pixels); scale it down"
        ) from None
    except MemoryError:
        raise BadImageError("it does not fit in memory; scale it down") from None
    except Exception as error:  # noqa: BLE001 - decoders of foreign bytes raise anything, from SyntaxError to struct.error
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise BadImageError(f"it is damaged ({reason}); replace the file") from None


def _check_size(width: int, height: int, limits: ImageLimits) -> None:
    if min(width, height) < 1:
        raise BadImageError(f"{width} x {height} is no pixel at all; replace the file")
    if width * height > limits.max_pixels:
        raise BadImageError(
            f"{width} x {height} is more than {limits.max_pixels} pixels (the server's max_image_pixels); scale it down"
        )
    if max(width, height) > limits.max_ratio * min(width, height):
        raise BadImageError(
            f"{width} x {height}: the longer side is more than {limits.max_ratio} times the shorter (the server's "
            "max_image_ratio); crop it, or split it into several"
        )


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8 where there is one; damaged EXIF data turns nothing."""
    try:
        found = image.getexif().get(_ORIENTATION)
    except Exception:  # noqa: BLE001 - as above; the pixels are sound
        return 1
    return found if isinstance(found, int) else 1


def _plain(image: Image.Image) -> Image.Image:
    """As RGB, or as grey where it is: one channel is resized three times as fast."""
    if image.mode in _WIDE_MODES:
        return _narrowed(image)
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode in ("1", "LA", "La") else "RGB")


def _narrowed(image: Image.Image) -> Image.Image:
    """16-bit grey values as their upper 8 bits: Pillow's own conversion clips them to white."""
    values = np.asarray(image)
    wide = values if values.dtype == np.uint16 else np.clip(values, 0, 65_535).astype(np.uint16)
    return Image.fromarray((wide >> 8).astype(np.uint8))
