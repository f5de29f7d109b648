"""The augmentations that a spec may ask for: their parameters, defaults and bounds."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from headstart_server.core.errors import Violation
from headstart_server.core.suggest import choices
from headstart_server.spec.model import AugmentationSpec, FeatureSpec

METHODS = ("trivial_augment", "auto_augment", "rand_augment")
_AUTOMATIC = "auto_augmentation"
_LEARNED_SIZE = "random_resized_crop"


class Parameter(NamedTuple):
    """One parameter: its default, and the least and most that it may be."""

    default: float
    least: float
    most: float


_PROBABILITY = {"probability": Parameter(0.5, 0, 1)}
_FACTORS = {"min": Parameter(0.5, 0, 10), "max": Parameter(2.0, 0, 10)}
AUGMENTATIONS: Mapping[str, Mapping[str, Parameter]] = {
    "random_horizontal_flip": _PROBABILITY,
    "random_vertical_flip": _PROBABILITY,
    "random_rotate": {"degree": Parameter(15, 0, 180)},
    "random_blur": {"kernel_size": Parameter(3, 1, 101)},
    "random_brightness": _FACTORS,
    "random_contrast": _FACTORS,
    _AUTOMATIC: {},
    _LEARNED_SIZE: {
        "scale_min": Parameter(0.35, 0.01, 1),
        "scale_max": Parameter(1, 0.01, 1),
        "ratio_min": Parameter(3 / 4, 0.1, 10),
        "ratio_max": Parameter(4 / 3, 0.1, 10),
    },
    "random_erasing": {
        **_PROBABILITY,
        "scale_min": Parameter(0.02, 0.001, 1),
        "scale_max": Parameter(0.33, 0.001, 1),
    },
    "color_jitter": {
        "brightness": Parameter(0.2, 0, 10),
        "contrast": Parameter(0.2, 0, 10),
        "saturation": Parameter(0.2, 0, 10),
        "hue": Parameter(0.05, 0, 0.5),
    },
}


def settled(step: AugmentationSpec) -> AugmentationSpec:
    """A valid step with every parameter, and its method, given."""
    defaults = {name: parameter.default for name, parameter in AUGMENTATIONS[step.type].items()}
    method = step.method or (METHODS[0] if step.type == _AUTOMATIC else None)
    return step.model_copy(update={"parameters": {**defaults, **step.parameters}, "method": method})


def augmentation_rules(feature: FeatureSpec, path: str) -> Iterator[Violation]:
    """Unknown augmentations, parameters that they do not have or that are out of bounds."""
    for index, step in enumerate(feature.augmentation):
        field = f"{path}.augmentation[{index}]"
        known = AUGMENTATIONS.get(step.type)
        if known is None:
            yield Violation(
                f"{field}.type", f"{step.type[:80]!r} is no augmentation{choices(step.type, AUGMENTATIONS, 'known')}"
            )
            continue
        if step.type == _AUTOMATIC and step.method is not None and step.method not in METHODS:
            yield Violation(f"{field}.method", f"{step.method[:80]!r} is not known; use {', '.join(METHODS)}")
        elif step.type != _AUTOMATIC and step.method is not None:
            yield Violation(f"{field}.method", f"is for {_AUTOMATIC}, not {step.type}; leave it out")
        yield from _parameters(step, known, field)
    crops = [index for index, step in enumerate(feature.augmentation) if step.type == _LEARNED_SIZE]
    if len(crops) > 1:
        yield Violation(f"{path}.augmentation[{crops[1]}]", f"is a second {_LEARNED_SIZE}; keep one")


def _parameters(step: AugmentationSpec, known: Mapping[str, Parameter], field: str) -> Iterator[Violation]:
    for name, value in step.parameters.items():
        if name not in known:
            message = f"{step.type} has no {name[:80]!r}{choices(name, known, 'its parameters')}"
            yield Violation(f"{field}.parameters.{name[:80]}", message)
        elif not known[name].least <= value <= known[name].most:
            bounds = f"{known[name].least:g} to {known[name].most:g}"
            yield Violation(f"{field}.parameters.{name}", f"{value:g} is out of bounds; use {bounds}")
        elif name == "kernel_size" and (value != int(value) or int(value) % 2 == 0):
            yield Violation(f"{field}.parameters.{name}", f"{value:g} is not odd; use 3, 5, 7, ...")
    complete = settled(step).parameters
    for low in [name for name in known if name == "min" or name.endswith("_min")]:
        high = low.replace("min", "max")
        if complete[low] > complete[high]:
            message = f"{complete[low]:g} is above {high} ({complete[high]:g}); give them in order"
            yield Violation(f"{field}.parameters.{low}", message)
