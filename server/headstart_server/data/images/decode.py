"""Image files to pixels: JPEG, PNG, WebP, BMP and GIF by content, within limits, upright, as RGB."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
_REDUCING_GAP = 2
"""A JPEG is decoded at a fraction of its size as long as that is twice what is needed, which the resize cannot tell."""
_WIDE_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")


class BadImageError(Exception):
    """A file that is no usable image; the message says why and what to do, without naming the row."""


@dataclass(frozen=True)
class ImageLimits:
    """What one image may be."""

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
    with _opened(data, limits) as image:
        if least:
            image.draft(None, (_REDUCING_GAP * least, _REDUCING_GAP * least))
        return ImageOps.exif_transpose(_plain(image))


@contextmanager
def _opened(data: bytes, limits: ImageLimits) -> Iterator[Image.Image]:
    if len(data) > limits.max_bytes:
        raise BadImageError(f"the file has {len(data)} bytes, at most {limits.max_bytes} are allowed; save it smaller")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is odd but readable is read
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image.width, image.height, limits)
                yield image
    except BadImageError:
        raise
    except UnidentifiedImageError:
        raise BadImageError(_unknown(data)) from None
    except Image.DecompressionBombError:
        raise BadImageError(f"it has far more than {limits.max_pixels} pixels; scale it down") from None
    except MemoryError:
        raise BadImageError("it does not fit in memory; scale it down") from None
    except Exception as error:  # noqa: BLE001 - decoders of foreign bytes raise anything, from SyntaxError to struct.error
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise BadImageError(f"it is damaged ({reason}); replace the file") from None


def _check_size(width: int, height: int, limits: ImageLimits) -> None:
    if width * height > limits.max_pixels:
        raise BadImageError(f"{width} x {height} is more than {limits.max_pixels} pixels; scale it down")
    if max(width, height) > limits.max_ratio * min(width, height):
        raise BadImageError(
            f"{width} x {height} is longer than {limits.max_ratio} times its width; crop it, or split it into several"
        )


def _unknown(data: bytes) -> str:
    if not data:
        return "the file is empty; replace it"
    known = "JPEG, PNG, WebP, BMP or GIF"
    start = data[:64].lstrip()
    if start[:5].lower() in (b"<?xml", b"<svg ", b"<!doc", b"<html"):
        return f"it is markup (HTML or SVG), not an image file; save it as {known}"
    if data[:2] == b"PK" or data[:2] == b"\x1f\x8b":
        return "it is an archive, not an image; unpack it first"
    if data[:4] in (b"II*\0", b"MM\0*"):
        return f"it is a TIFF file, which is not read; save it as {known}"
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif"):
        return f"it is an HEIC or AVIF file, which is not read; save it as {known}"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in data[:64]):
        return (
            f"it is a text file, not an image; it begins with {data[:24].decode('ascii')!r}; save an image as {known}"
        )
    return f"its content is no image that is known here; save it as {known}"


def _plain(image: Image.Image) -> Image.Image:
    """As RGB, or as grey where it is: one channel is resized three times as fast."""
    if image.mode in _WIDE_MODES:
        return _narrowed(image)
    if image.mode in ("L", "RGB"):
        image.load()
        return image
    if image.mode in ("1", "LA", "La"):
        return image.convert("L")
    return image.convert("RGBA" if image.mode == "P" and "transparency" in image.info else image.mode).convert("RGB")


def _narrowed(image: Image.Image) -> Image.Image:
    """16-bit grey values as their upper 8 bits: Pillow's own conversion clips them to white."""
    return Image.fromarray((np.clip(np.asarray(image), 0, 65_535).astype(np.uint32) >> 8).astype(np.uint8))
