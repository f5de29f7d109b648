"""torchvision's classification models as encoders: families and variants read off its own registry, heads cut off."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from headstart_server.core.errors import invalid
from headstart_server.core.suggest import choices
from headstart_server.data.images.transform import ImageTransform

CLASSES = 1_000
SINGLE_VARIANT = "base"
_FAMILIES = {
    "inception": "inceptionv3",
    "shufflenetv2": "shufflenet_v2",
    "swin_transformer": "swin",
    "vision_transformer": "vit",
}
"""Families whose usual name is not that of torchvision's module."""
_LUDWIG_VARIANTS = {"v2_small": "v2_s", "v2_medium": "v2_m", "v2_large": "v2_l"}
"""Ludwig's names of efficientnet's."""
_SUBFAMILIES = {"resnet": ("resnext", "wide_resnet")}
"""Families that share a module with another."""


@dataclass(frozen=True)
class Architecture:
    """One model of torchvision's registry."""

    name: str
    """As the registry has it, `mobilenet_v3_large`."""
    family: str
    """The encoder's type, `mobilenetv3`."""
    variant: str
    """Its variant, `large`."""

    @property
    def published(self) -> Mapping[str, Any]:
        """The weights that torchvision publishes, by name, the recommended ones first."""
        weights = _registry().get_model_weights(self.name)
        ordered = [weights.DEFAULT, *(item for item in weights if item is not weights.DEFAULT)]
        return {item.name: item for item in ordered}


def _registry() -> Any:
    """`torchvision.models`, imported when images are asked for: torchvision.ops brings torch's compiler, seconds."""
    import torchvision.models

    return torchvision.models


@cache
def architectures() -> Mapping[str, tuple[Architecture, ...]]:
    """Every classification model of the installed torchvision by family, smallest first."""
    families: dict[str, list[Architecture]] = {}
    for name in _registry().list_models(module=_registry()):
        family = _family(name)
        families.setdefault(family, []).append(Architecture(name, family, _variant(name, family)))
    return {family: tuple(sorted(found, key=_parameters)) for family, found in sorted(families.items())}


def architecture(family: str, variant: str, field: str) -> Architecture:
    """The variant of a family, by its own or its registry name; raises InvalidInputError naming `field`."""
    known = architectures()[family]
    variant = _LUDWIG_VARIANTS.get(variant, variant)
    for item in known:
        if variant in (item.variant, item.name):
            return item
    names = [item.variant for item in known]
    raise invalid(field, f"{variant[:80]!r} is no variant of {family}{choices(variant, names, 'known')}")


def transform_of(weights: Any) -> ImageTransform:
    """The transform that published weights were evaluated with."""
    preset = weights.transforms()
    return ImageTransform(
        resize=int(preset.resize_size[0]),
        crop=(int(preset.crop_size[0]), int(preset.crop_size[-1])),
        interpolation=preset.interpolation.value,
        mean=_colours(preset.mean),
        std=_colours(preset.std),
    )


def _colours(values: Any) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue


@cache
def dimension_of(name: str) -> int:
    """Width of the features that the classifier reads."""
    return _head(_built(name, random=False))[2]


def headless(name: str, crop: tuple[int, int], *, random: bool) -> nn.Module:
    """The model without its classifier, for images of that (height, width).

    Its parameters are random, or on the meta device where others will take their place.
    """
    model = _built(name, random=random, crop=crop)
    parent, attribute, _ = _head(model)
    setattr(model.get_submodule(parent), attribute, nn.Identity())
    return model


def head_of(name: str) -> str:
    """The path of the classifier within the model, `classifier.1`."""
    parent, attribute, _ = _head(_built(name, random=False))
    return f"{parent}.{attribute}".lstrip(".")


class _NoMemory(TorchFunctionMode):
    """Parameters are made on the meta device; what constructors compute with stays real."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = dict(kwargs or {})
        if function is torch.empty:
            options["device"] = "meta"
        return function(*args, **options)


def _built(name: str, *, random: bool, crop: tuple[int, int] | None = None) -> nn.Module:
    options: dict[str, Any] = {"weights": None}
    if crop is not None and _family(name) == "vit":
        options["image_size"] = crop[0]
    if crop is not None and _family(name) == "maxvit":
        options["input_size"] = crop
    if name in ("googlenet", "inception_v3"):
        # Unset, init_weights warns; transform_input is what torchvision 0.29 sets where it loads weights.
        options |= {"aux_logits": False, "init_weights": random, "transform_input": True}
    with nullcontext() if random else _NoMemory():
        model: nn.Module = _registry().get_model_builder(name)(**options)
    return model


def _head(model: nn.Module) -> tuple[str, str, int]:
    """The classifier, the last layer with one output per class: its parent, its name there, the width of its input."""
    found = None
    for path, module in model.named_modules():
        parent, _, name = path.rpartition(".")
        if isinstance(module, nn.Linear) and module.out_features == CLASSES:
            found = parent, name, module.in_features
        elif isinstance(module, nn.Conv2d) and module.out_channels == CLASSES:
            found = parent, name, module.in_channels
    if found is None:
        raise LookupError(f"{type(model).__name__} has no classifier of {CLASSES} classes")
    return found


def _family(name: str) -> str:
    module = _registry().get_model_builder(name).__module__.rpartition(".")[2]
    for family in _SUBFAMILIES.get(module, ()):
        if name.startswith(family):
            return family
    return str(_FAMILIES.get(module, module))


def _variant(name: str, family: str) -> str:
    """What a registry name adds to its family's, underscores aside: `mobilenet_v3_large` adds `large`."""
    rest = name
    for letter in family.replace("_", ""):
        rest = rest.lstrip("_")
        if not rest.startswith(letter):
            return name
        rest = rest[1:]
    return rest.lstrip("_") or SINGLE_VARIANT


def _parameters(item: Architecture) -> int:
    return min(int(weights.meta["num_params"]) for weights in item.published.values())
