"""transformers' vision models: ViT, DINOv2, the image towers of CLIP and SigLIP, and others of their kind."""

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from headstart_server.core.errors import invalid
from headstart_server.core.files import read_json
from headstart_server.core.memory import ran_out_of_memory
from headstart_server.data.images.transform import ImageTransform
from headstart_server.encoders.draft import names_in_files, without_parameters
from headstart_server.encoders.model_config import UnreadableConfigError, load_config
from headstart_server.encoders.sources import PROCESSOR, PROCESSORS, ModelSource

_TOWERS = {
    "clip": "CLIPVisionModel",
    "clip_vision_model": "CLIPVisionModel",
    "siglip": "SiglipVisionModel",
    "siglip_vision_model": "SiglipVisionModel",
    "siglip2": "Siglip2VisionModel",
}
"""Models of image and text, by the class of their image tower."""
_POOLED = (*_TOWERS, "convnext", "convnextv2", "resnet", "regnet", "swin", "swinv2")
"""Models whose pooled output is their embedding."""
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
_STRETCHED, _CROPPED = 384, 224 / 256
"""ConvNeXt's: the side from which on images are stretched, and the part of smaller ones that is cut out."""


def vision_config(source: ModelSource) -> Any:
    """The configuration of the model, or of the image tower of a model of image and text.

    Raises UnreadableConfigError where there is none that transformers knows.
    """
    config = load_config(source.folder)
    config = getattr(config, "vision_config", config)
    if not hasattr(config, "hidden_size") and hasattr(config, "hidden_sizes"):
        config.hidden_size = config.hidden_sizes[-1]
    return config


def check_vision_source(source: ModelSource, reduction: str, field: str) -> None:
    """Raises InvalidInputError naming `field` where the weights are no image encoder's or cannot be pooled so."""
    try:
        config = vision_config(source)
    except UnreadableConfigError as error:
        raise invalid(field, f"{source.name!r}: config.json cannot be read: {error}") from error
    known = config.model_type in _TOWERS or type(config) in transformers.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING
    if not known or not getattr(config, "hidden_size", None):
        raise invalid(field, f"{source.name!r}: transformers has no image encoder for {config.model_type!r}")
    if config.model_type in _POOLED and reduction not in ("cls_pooled", "mean"):
        raise invalid(
            field.replace("pretrained_model_name_or_path", "reduce_output"),
            f"{reduction!r} is not for {config.model_type}, which pools by itself; use cls_pooled, or leave it out",
        )


def default_reduction(source: ModelSource) -> str:
    """`cls_pooled` for models that are trained with a pooled output, else the class token."""
    return "cls_pooled" if vision_config(source).model_type in _POOLED else "cls"


def vision_model(source: ModelSource, *, use_pretrained: bool, field: str) -> nn.Module:
    """The model in float32; random weights of the same architecture unless `use_pretrained`."""
    config = vision_config(source)
    tower = _TOWERS.get(config.model_type)
    try:
        if not use_pretrained:
            return _random_model(config)
        factory: Any = getattr(transformers, tower) if tower else transformers.AutoModel
        model, report = factory.from_pretrained(
            source.folder,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **({} if tower else {"trust_remote_code": False}),
        )
    except Exception as error:  # transformers and the classes of its models raise whatever they stumble over
        if ran_out_of_memory(error):
            raise
        raise invalid(field, f"{source.name!r}: the weights cannot be loaded: {str(error)[:300]}") from error
    missing = {name for name in report["missing_keys"] if not name.startswith("pooler.")}
    if missing:
        names = ", ".join(sorted(missing)[:3])
        raise invalid(
            field, f"{source.name!r} lacks {len(missing)} weights of its model ({names}, ...); give a whole checkpoint"
        )
    loaded: nn.Module = model
    return loaded


def unread_model(source: ModelSource) -> tuple[nn.Module, dict[str, str]] | None:
    """(the model without its parameters, what the files call them); None where the files hold them otherwise."""
    with without_parameters():
        model = _random_model(vision_config(source))
    names = names_in_files(model, source.folder)
    return None if names is None else (model, names)


def _random_model(config: Any) -> nn.Module:
    tower = _TOWERS.get(config.model_type)
    made: nn.Module = (
        getattr(transformers, tower)._from_config(config) if tower else transformers.AutoModel.from_config(config)
    )
    return made.float()


def vision_transform(source: ModelSource, field: str) -> ImageTransform:
    """What `preprocessor_config.json` does to images; raises InvalidInputError naming `field` for other processing."""
    try:
        values = _processor(source.folder)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise invalid(field, f"{source.name!r} has no readable {PROCESSOR}, which names its transform") from error
    try:
        return _transform(values)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
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
        mean=tuple(values["image_mean"]) if normalised else (0.0, 0.0, 0.0),
        std=tuple(values["image_std"]) if normalised else (1.0, 1.0, 1.0),
        scale=1 / float(values.get("rescale_factor", 1 / 255)) if rescaled else 1.0,
        spare="floor",
    )


def _sizes(values: dict[str, Any]) -> tuple[int | tuple[int, int], tuple[int, int]]:
    """What images are resized to, and what is cut out of their middle."""
    size, crop = values.get("size", 224), values.get("crop_size")
    if str(values.get("image_processor_type", "")).startswith("ConvNext"):
        return _convnext_sizes(values, size)
    if isinstance(size, int):
        size = {"shortest_edge": size} if values.get("do_center_crop") else {"height": size, "width": size}
    resize = int(size["shortest_edge"]) if "shortest_edge" in size else (int(size["height"]), int(size["width"]))
    if isinstance(crop, int):
        crop = {"height": crop, "width": crop}
    if values.get("do_center_crop") and crop:
        return resize, (int(crop["height"]), int(crop["width"]))
    if not isinstance(resize, int):
        return resize, resize
    raise ValueError("images of different shapes: size.shortest_edge without do_center_crop")


def _convnext_sizes(values: dict[str, Any], size: Any) -> tuple[int | tuple[int, int], tuple[int, int]]:
    """ConvNeXt's rule: images of 384 pixels are stretched, smaller ones cut from somewhat larger ones."""
    side = int(size["shortest_edge"]) if isinstance(size, dict) else int(size)
    if side >= _STRETCHED:
        return (side, side), (side, side)
    return int(side / float(values.get("crop_pct") or _CROPPED)), (side, side)


def _refuse_unknown(values: dict[str, Any]) -> None:
    """Raises ValueError for steps that an ImageTransform has not."""
    size = values.get("size")
    unknown = [key for key in _UNKNOWN_STEPS if values.get(key)]
    unknown += ["do_resize: false"] if not values.get("do_resize", True) else []
    unknown += ["size.longest_edge"] if isinstance(size, dict) and size.get("longest_edge") else []
    if values.get("crop_pct") and not str(values.get("image_processor_type", "")).startswith("ConvNext"):
        unknown.append("crop_pct")
    if unknown:
        raise ValueError(", ".join(unknown))
