"""transformers' vision models: ViT, DINOv2, the image towers of CLIP and SigLIP, and others of their kind."""

from typing import Any

import torch
import transformers
from torch import nn

from headstart_server.core.errors import invalid
from headstart_server.core.memory import ran_out_of_memory
from headstart_server.data.images.transform import ImageTransform
from headstart_server.encoders.deferred import names_in_files, without_parameters
from headstart_server.encoders.model_config import UnreadableConfigError, load_config, told_as
from headstart_server.encoders.sources import PROCESSOR, ModelSource

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


def vision_config(source: ModelSource) -> Any:
    """The configuration of the model, or of the image tower of a model of image and text.

    Raises UnreadableConfigError where there is none that transformers knows.
    """
    config = load_config(source.folder)
    config = getattr(config, "vision_config", config)
    if not isinstance(getattr(config, "model_type", None), str):
        raise UnreadableConfigError("vision_config names no model_type")
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


def require_fitting_transform(source: ModelSource, transform: ImageTransform, field: str) -> None:
    """Raises InvalidInputError naming `field` where the model does not read images as its transform makes them.

    Asked of the model on torch's meta device, which computes shapes alone; models whose code looks at values are
    asked when they are loaded.
    """
    config = vision_config(source)
    try:
        with told_as(UnreadableConfigError):
            with torch.device("meta"):
                model = _random_model(config).eval()
                pixels = torch.zeros(1, 3, *transform.crop)
            with torch.inference_mode():
                output = model(pixel_values=pixels, return_dict=True)
            found = _width(output)
    except UnreadableConfigError as error:
        if "meta" in str(error):
            return
        sides = " x ".join(map(str, transform.crop))
        hint = f"correct config.json or {PROCESSOR}, which makes images of {sides}"
        raise invalid(field, f"{source.name!r} reads no images: {error}; {hint}") from error
    if found != config.hidden_size:
        raise invalid(
            field, f"{source.name!r} gives vectors {found} wide, not {config.hidden_size} as config.json says"
        )


def _width(output: Any) -> int:
    """Width of what a model gives: of its pooled output, else of its positions' vectors."""
    pooled = getattr(output, "pooler_output", None)
    return int((output.last_hidden_state if pooled is None else pooled.flatten(1)).shape[-1])


def default_reduction(source: ModelSource) -> str:
    """`cls_pooled` for models that are trained with a pooled output, else the class token."""
    return "cls_pooled" if vision_config(source).model_type in _POOLED else "cls"


def vision_model(source: ModelSource, reduction: str, *, use_pretrained: bool, field: str) -> nn.Module:
    """The model in float32; random weights of the same architecture unless `use_pretrained`.

    Raises InvalidInputError where files lack weights that the reduction needs: transformers draws them at random.
    """
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
    pooled = reduction == "cls_pooled"
    missing = {name for name in report["missing_keys"] if pooled or not name.startswith("pooler.")}
    if missing:
        names = ", ".join(sorted(missing)[:3])
        only_pooler = all(name.startswith("pooler.") for name in missing)
        hint = "use reduce_output cls or mean" if only_pooler else "give a whole checkpoint"
        raise invalid(field, f"{source.name!r} lacks {len(missing)} weights of its model ({names}, ...); {hint}")
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
