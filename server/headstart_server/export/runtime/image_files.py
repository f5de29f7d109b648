"""Image files to the pixels that the exported graph takes, as the server reads them. Needs numpy and Pillow."""

import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError
from prediction_csv import BadRowsError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
WIDE = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def pixels_of(path, transform, column, row):
    """A file as uint8 [3, h, w], resized; the mean colour for an empty path. Raises BadRowsError naming the cell."""
    if not path:
        colour = [round(value * transform["scale"]) for value in transform["mean"]]
        return np.broadcast_to(np.array(colour, np.uint8)[:, None, None], (3, *transform["crop"])).copy()
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as image:
            resize = transform["resize"]
            least = resize if isinstance(resize, int) else max(resize)
            image.draft(None, (2 * least, 2 * least))
            return resized(upright(image), transform)
    except Exception as error:  # noqa: BLE001 - decoders of foreign bytes raise anything
        raise BadRowsError(f"column {column!r}, row {row}: {path!r} is no usable image ({why(error)})") from None


def why(error):
    """What is wrong with a file, in one line that does not name it."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, UnidentifiedImageError):
        return f"it is none of {', '.join(FORMATS)}"
    return " ".join(str(error).split())[:200] or type(error).__name__


def resized(image, transform):
    """An image in the size that the encoder was made for, before its centre is cut out."""
    resize = transform["resize"]
    if isinstance(resize, int):
        short = min(image.size)
        width, height = (resize * side // short for side in image.size)
    else:
        height, width = resize
    if (width, height) != image.size:
        image = image.resize((width, height), RESAMPLING[transform["interpolation"]])
    pixels = np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)
    return np.ascontiguousarray(np.broadcast_to(pixels, (3, *pixels.shape[1:])))


def upright(image):
    """The first frame as RGB or grey, turned as its EXIF orientation says."""
    image.load()
    turn = UPRIGHT.get(orientation(image))
    image = plain(image)
    return image if turn is None else image.transpose(turn)


def orientation(image):
    """The EXIF orientation; damaged EXIF data turns nothing."""
    try:
        return image.getexif().get(0x0112)
    except Exception:  # noqa: BLE001 - foreign bytes raise anything; the pixels are sound
        return None


def plain(image):
    """As RGB, or as grey where it is; 16-bit values keep their upper 8 bits, transparency is dropped."""
    if image.mode in WIDE:
        return Image.fromarray((np.clip(np.asarray(image), 0, 65535).astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode in ("1", "LA", "La") else "RGB")
