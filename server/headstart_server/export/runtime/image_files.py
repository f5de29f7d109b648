"""Image files to the pixels that the exported graph takes, as the server reads them. Needs numpy and Pillow."""

import numpy as np
from PIL import Image, ImageOps
from prediction_csv import BadRowsError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
WIDE = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")


def pixels_of(path, transform, column, row):
    """A file as uint8 [3, h, w], resized; the mean colour for an empty path. Raises BadRowsError naming the cell."""
    if not path:
        colour = [round(value * transform["scale"]) for value in transform["mean"]]
        return np.broadcast_to(np.array(colour, np.uint8)[:, None, None], (3, *transform["crop"])).copy()
    try:
        with Image.open(path, formats=FORMATS) as image:
            resize = transform["resize"]
            least = resize if isinstance(resize, int) else max(resize)
            image.draft(None, (2 * least, 2 * least))
            return resized(upright(image), transform)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadRowsError(f"column {column!r}, row {row}: {path!r} is no usable image ({error})") from None


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
    if image.mode in WIDE:
        image = Image.fromarray((np.clip(np.asarray(image), 0, 65535).astype(np.uint32) >> 8).astype(np.uint8))
    elif image.mode in ("1", "LA", "La"):
        image = image.convert("L")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGBA" if image.mode == "P" and "transparency" in image.info else image.mode)
        image = image.convert("RGB")
    return ImageOps.exif_transpose(image)
