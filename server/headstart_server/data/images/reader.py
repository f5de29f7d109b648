"""Reads one input's images as its encoder takes them: decoded, resized, cut, augmented where training asks for it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from headstart_server.data.images.augmentation import Augmentation
from headstart_server.data.images.decode import ImageLimits, decode
from headstart_server.data.images.scan import ScannedImages
from headstart_server.data.images.transform import ImageTransform, Pixels


@dataclass(frozen=True)
class ImageReader:
    """One input's images as its encoder takes them: uint8 crops [3, *crop]. Can be sent to another process."""

    images: ScannedImages
    transform: ImageTransform
    augmentation: Augmentation | None = None
    seed: int = 0
    by_content: bool = False
    """Whether an augmented view depends on the file alone, so that it can be stored under its key."""

    def crop(self, row: int, epoch: int | None) -> Tensor:
        """A row's crop, augmented where `epoch` (or view) is given; raises BadImageError."""
        return self.crop_of(self.images.read(row), row, epoch)

    def crop_of(self, data: bytes | None, row: int, epoch: int | None) -> Tensor:
        """As `crop`, of bytes that are in hand; None is the default image."""
        if data is None:
            return default_crop(self.transform)
        limits = self.images.column.limits
        if epoch is None or self.augmentation is None:
            return torch.from_numpy(crop_of(data, self.transform, limits))
        image = decode(data, limits, 0 if self.augmentation.crops else self.transform.least)
        content = self.images.keys[row].tolist() if self.by_content else [row]
        return self.augmentation.apply(image, self.transform, [self.seed, epoch, *content])


def crop_of(data: bytes, transform: ImageTransform, limits: ImageLimits) -> Pixels:
    """A file as its encoder takes it, uint8 [3, *crop]; raises BadImageError."""
    return transform.cropped(transform.sized(decode(data, limits, transform.least)))


def sized_of(data: bytes | None, transform: ImageTransform, limits: ImageLimits) -> Pixels:
    """A file as an exported graph is fed: resized, not cropped, uint8 [3, h, w]; None is the default image."""
    if data is None:
        return default_crop(transform).numpy()
    return transform.sized(decode(data, limits, transform.least))


def default_crop(transform: ImageTransform) -> Tensor:
    """The default image, uint8 [3, *crop]: the mean colour, which is zero once it is normalised."""
    colour = torch.tensor([round(value * transform.scale) for value in transform.mean], dtype=torch.uint8)
    return colour[:, None, None].expand(3, *transform.crop).contiguous()
