"""Random changes of images while training: torchvision's transforms, drawn from a seed of the image's own.

Names and defaults follow Ludwig's `augmentation` (https://ludwig.ai/latest/configuration/features/image_features/) and
torchvision's `transforms.v2`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from headstart_server.data.images.transform import ImageTransform
from headstart_server.spec.model import AugmentationSpec

_METHODS = {"trivial_augment": "TrivialAugmentWide", "auto_augment": "AutoAugment", "rand_augment": "RandAugment"}


@dataclass(frozen=True)
class Augmentation:
    """The steps of one input, each with every parameter settled (`spec.augmentations.settled`)."""

    steps: tuple[AugmentationSpec, ...]

    def describe(self) -> list[dict[str, Any]]:
        """Plain values, for fingerprints."""
        return [
            {"type": step.type, "method": step.method, "parameters": dict(sorted(step.parameters.items()))}
            for step in self.steps
        ]

    @property
    def crops(self) -> bool:
        """Whether a random crop takes the place of resize and centre crop."""
        return any(step.type == "random_resized_crop" for step in self.steps)

    def apply(self, image: Image.Image, transform: ImageTransform, seed: Sequence[int]) -> Tensor:
        """A decoded image changed as `seed` draws, uint8 [3, *crop]. Leaves torch's own random state as it was."""
        with _drawing(seed):
            pixels: Tensor
            if self.crops:
                crop = next(step for step in self.steps if step.type == "random_resized_crop")
                cut = _random_crop(crop.parameters, transform)(image.convert("RGB"))
                pixels = _transforms().functional.pil_to_tensor(cut)
            else:
                pixels = torch.from_numpy(transform.cropped(transform.sized(image)))
            for step in self.steps:
                if step.type != "random_resized_crop":
                    pixels = _step(step, transform)(pixels)
        return pixels


@contextmanager
def _drawing(seed: Sequence[int]) -> Iterator[None]:
    """Lets torch's transforms, which know the global generator only, draw from `seed`.

    Unlike torch.manual_seed, it leaves the generators of GPUs alone, where dropout may be drawn at the same time.
    """
    generator = torch.default_generator
    state = generator.get_state()
    generator.manual_seed(_number(seed))
    try:
        yield
    finally:
        generator.set_state(state)


def _transforms() -> Any:
    """`torchvision.transforms.v2`, imported when an image is augmented: it takes a second."""
    from torchvision.transforms import v2

    return v2


def _random_crop(parameters: dict[str, float], transform: ImageTransform) -> Any:
    v2 = _transforms()
    return v2.RandomResizedCrop(
        list(transform.crop),
        scale=(parameters["scale_min"], parameters["scale_max"]),
        ratio=(parameters["ratio_min"], parameters["ratio_max"]),
        interpolation=v2.InterpolationMode(transform.interpolation),
        antialias=True,
    )


def _step(step: AugmentationSpec, transform: ImageTransform) -> Any:
    values, v2 = step.parameters, _transforms()
    match step.type:
        case "random_horizontal_flip":
            return v2.RandomHorizontalFlip(values["probability"])
        case "random_vertical_flip":
            return v2.RandomVerticalFlip(values["probability"])
        case "random_rotate":
            return v2.RandomRotation(values["degree"], v2.InterpolationMode.BILINEAR, fill=_mean_colour(transform))
        case "random_blur":
            return v2.GaussianBlur(int(values["kernel_size"]))
        case "random_brightness":
            return v2.ColorJitter(brightness=(values["min"], values["max"]))
        case "random_contrast":
            return v2.ColorJitter(contrast=(values["min"], values["max"]))
        case "color_jitter":
            return v2.ColorJitter(values["brightness"], values["contrast"], values["saturation"], values["hue"])
        case "random_erasing":
            scale = (values["scale_min"], values["scale_max"])
            return v2.RandomErasing(values["probability"], scale=scale, value=_mean_colour(transform))
        case "auto_augmentation":
            return getattr(v2, _METHODS[step.method or ""])()
        case _:
            raise LookupError(f"{step.type!r} is no augmentation")


def _mean_colour(transform: ImageTransform) -> list[float]:
    """What a corner that nothing fills looks like to the encoder: nothing."""
    return [round(value * transform.scale) for value in transform.mean]


def _number(seed: Sequence[int]) -> int:
    """One seed of several numbers, equal on every machine and for any number of workers."""
    digest = blake2b(",".join(map(str, seed)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
