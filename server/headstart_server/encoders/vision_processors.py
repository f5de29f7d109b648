"""What `preprocessor_config.json` of a vision model of transformers does to images, as an ImageTransform."""

import math
from pathlib import Path
from typing import Any

from headstart_server.core.errors import invalid
from headstart_server.core.files import read_json
from headstart_server.data.images.transform import ImageTransform
from headstart_server.encoders.sources import PROCESSOR, PROCESSORS, ModelSource

_RESAMPLING = {2: "bilinear", 3: "bicubic"}
"""Pillow's numbers."""
_UNKNOWN_STEPS = (
    "do_pad",
    "do_flip_channel_order",
    "rescale_offset",
    "include_top",
    "do_thumbnail",
    "do_align_long_axis",
)
"""Steps of some processors that would change what a model sees."""
_SWITCHES = ("do_resize", "do_center_crop", "do_rescale", "do_normalize")
_STRETCHED, _CROPPED = 384, 224 / 256
"""ConvNeXt's: the side from which on images are stretched, and the part of smaller ones that is cut out."""
_LONGEST_SIDE = 4_096


def vision_transform(source: ModelSource, field: str) -> ImageTransform:
    """What `preprocessor_config.json` does to images; raises InvalidInputError naming `field` for other processing."""
    try:
        values = _processor(source.folder)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise invalid(field, f"{source.name!r} has no readable {PROCESSOR}, which names its transform") from error
    try:
        return _transform(values)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise invalid(
            field, f"{source.name!r}: {PROCESSOR} asks for a transform that is not known here ({str(error)[:120]})"
        ) from error


def _processor(folder: Path) -> dict[str, Any]:
    """The image processor's configuration: a file of its own, or a part of the whole processor's."""
    if not (folder / PROCESSOR).is_file() and (folder / PROCESSORS).is_file():
        part: dict[str, Any] = read_json(folder / PROCESSORS)["image_processor"]
        return part
    values: dict[str, Any] = read_json(folder / PROCESSOR)
    return values


def _transform(values: dict[str, Any]) -> ImageTransform:
    _refuse_unknown(values)
    resize, cut = _sizes(values)
    rescaled = values.get("do_rescale", True)
    normalised = values.get("do_normalize", True)
    return ImageTransform(
        resize=resize,
        crop=cut,
        interpolation=_RESAMPLING[int(values.get("resample", 2))],
        mean=_channels(values, "image_mean") if normalised else (0.0, 0.0, 0.0),
        std=_channels(values, "image_std", positive=True) if normalised else (1.0, 1.0, 1.0),
        scale=1 / _number("rescale_factor", values.get("rescale_factor", 1 / 255)) if rescaled else 1.0,
        spare="floor",
    )


def _channels(values: dict[str, Any], key: str, *, positive: bool = False) -> tuple[float, float, float]:
    """A number for each of red, green and blue."""
    found = values[key]
    if not isinstance(found, list) or len(found) != 3:
        raise ValueError(f"{key} is {found!r}, not three numbers"[:110])
    red, green, blue = (_number(key, value, positive=positive) for value in found)
    return red, green, blue


def _number(key: str, value: Any, *, positive: bool = True) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not known or abs(value) > 1e6 or (positive and value < 1e-6):
        raise ValueError(f"{key} is {value!r}, not a {'positive ' if positive else ''}number of use"[:110])
    return float(value)


def _side(key: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LONGEST_SIDE:
        raise ValueError(f"{key} is {value!r}, not a number of pixels from 1 to {_LONGEST_SIDE:,}"[:110])
    return value


def _sizes(values: dict[str, Any]) -> tuple[int | tuple[int, int], tuple[int, int]]:
    """What images are resized to, and what is cut out of their middle."""
    size, crop = values.get("size", 224), values.get("crop_size")
    if str(values.get("image_processor_type", "")).startswith("ConvNext"):
        return _convnext_sizes(values, size)
    if isinstance(size, int):
        size = {"shortest_edge": size} if values.get("do_center_crop") else {"height": size, "width": size}
    resize = _side("size", size["shortest_edge"]) if "shortest_edge" in size else _both("size", size)
    if isinstance(crop, int):
        crop = {"height": crop, "width": crop}
    if values.get("do_center_crop") and crop:
        return resize, _both("crop_size", crop)
    if not isinstance(resize, int):
        return resize, resize
    raise ValueError("images of different shapes: size.shortest_edge without do_center_crop")


def _both(key: str, size: dict[str, Any]) -> tuple[int, int]:
    """(height, width)."""
    return _side(f"{key}.height", size["height"]), _side(f"{key}.width", size["width"])


def _convnext_sizes(values: dict[str, Any], size: Any) -> tuple[int | tuple[int, int], tuple[int, int]]:
    """ConvNeXt's rule: images of 384 pixels are stretched, smaller ones cut from somewhat larger ones."""
    side = _side("size", size["shortest_edge"] if isinstance(size, dict) else size)
    if side >= _STRETCHED:
        return (side, side), (side, side)
    part = _number("crop_pct", values.get("crop_pct") or _CROPPED)
    return _side("size / crop_pct", int(side / part)), (side, side)


def _refuse_unknown(values: dict[str, Any]) -> None:
    """Raises ValueError for steps that an ImageTransform has not, TypeError for switches that are none."""
    for key in _SWITCHES:
        if not isinstance(values.get(key, True), bool | None):
            raise TypeError(f"{key} is {values[key]!r}, not true or false"[:110])
    size = values.get("size")
    unknown = [key for key in _UNKNOWN_STEPS if values.get(key)]
    unknown += ["do_resize: false"] if not values.get("do_resize", True) else []
    unknown += ["size.longest_edge"] if isinstance(size, dict) and size.get("longest_edge") else []
    if values.get("crop_pct") and not str(values.get("image_processor_type", "")).startswith("ConvNext"):
        unknown.append("crop_pct")
    if unknown:
        raise ValueError(", ".join(unknown))
