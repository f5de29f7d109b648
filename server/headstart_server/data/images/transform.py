"""The image transform: resize, centre crop and normalisation, on files as they are decoded and inside exported graphs.

Files are resized by Pillow while they are decoded, as they were when the pretrained weights were made, so that the rest
of the way carries uint8 crops of one size. Inside a graph the same steps run on tensors of any size. On an image that
has the right size already they change nothing, and both ways agree to the last bit; otherwise up to one value in a
hundred is rounded the other way (up to a quarter of them in images that Pillow resizes down first, then across: those
twice as tall as wide, and those squeezed more in height than in width). There a bicubic resize of hard edges from black
to white differs by up to 30 of 255 in single values: what overshoots is clipped after each pass, in the other order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

Pixels = npt.NDArray[np.uint8]
"""An image as uint8 [3, height, width], RGB."""
_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_HALF = 0.5 + 2**-13
"""Halves are rounded up in spite of the last bits of float32, which differ between runtimes."""


@dataclass(frozen=True)
class ImageTransform:
    """Pixels to what an encoder reads, as torchvision's `ImageClassification` preset and transformers' processors do.

    `resize` is the length of the shorter side, or (height, width); `crop` the (height, width) cut from the middle.
    """

    resize: int | tuple[int, int]
    crop: tuple[int, int]
    interpolation: str
    """`bilinear` or `bicubic`, antialiased."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: float = 255.0
    """What pixel values are divided by before normalising."""
    spare: str = "round"
    """How half of an odd number of pixels around the crop is rounded: `round` to even (torchvision) or `floor`."""

    def __post_init__(self) -> None:
        smallest = (self.resize, self.resize) if isinstance(self.resize, int) else self.resize
        if self.crop[0] > smallest[0] or self.crop[1] > smallest[1]:
            raise ValueError(f"a crop of {self.crop} does not fit into {smallest}")
        if smallest[1] < 2:
            raise ValueError(f"a resize to {smallest} leaves one column, which torch's antialiased resize gets wrong")

    @property
    def least(self) -> int:
        """Pixels that neither side of a decoded image needs more than."""
        return self.resize if isinstance(self.resize, int) else max(self.resize)

    def describe(self) -> dict[str, Any]:
        """Plain values, for fingerprints and bundles."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_description(cls, values: Mapping[str, Any]) -> "ImageTransform":
        """The inverse of `describe`."""
        plain: dict[str, Any] = {key: tuple(item) if isinstance(item, list) else item for key, item in values.items()}
        return cls(**plain)

    def sized(self, image: Image.Image) -> Pixels:
        """An RGB or grey image resized but not cropped, uint8 [3, h, w]: what an exported graph is fed."""
        if isinstance(self.resize, int):
            short = min(image.size)
            width, height = (self.resize * side // short for side in image.size)
        else:
            height, width = self.resize
        if (width, height) != image.size:
            image = image.resize((width, height), _RESAMPLING[self.interpolation])
        pixels = np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)
        return np.broadcast_to(pixels, (3, *pixels.shape[1:])).copy()

    def cropped(self, pixels: Pixels) -> Pixels:
        """The middle of a resized image, uint8 [3, *crop]."""
        top, left = self._middle(pixels.shape[1:])
        return np.ascontiguousarray(pixels[:, top : top + self.crop[0], left : left + self.crop[1]])

    def resized(self, pixels: Tensor) -> Tensor:
        """Images uint8 [n, 3, h, w] of any size as float32 [n, 3, *crop] in 0 to 255, inside a graph.

        Written without branches on the size, so that torch.export keeps it symbolic, and the crop's a plain number; the
        arithmetic of sizes and offsets is torchvision's `resize` and `center_crop`.
        """
        height, width = pixels.shape[2], pixels.shape[3]
        if isinstance(self.resize, int):
            short = _smaller(height, width)
            rows, columns = self.resize * height // short, self.resize * width // short
        else:
            rows, columns = self.resize
        # Across first, as Pillow does for most shapes: what overshoots is clipped in between
        # (findings/torch_bicubic_antialias_clips_once_pillow_twice.sh).
        values = self._pass(pixels.to(torch.float32), (height, columns))
        values = self._pass(values, (rows, columns))
        top, left = self._middle(values.shape[2:])
        rows = top + torch.arange(self.crop[0], device=values.device)
        columns = left + torch.arange(self.crop[1], device=values.device)
        return values.index_select(2, rows).index_select(3, columns)  # of a slice, torch.export does not know the size

    def _middle(self, size: Sequence[int]) -> tuple[int, int]:
        """Where the crop begins that is cut from the middle of (height, width): at half of what is left over."""
        spare = size[0] - self.crop[0], size[1] - self.crop[1]
        if self.spare == "floor":
            return spare[0] // 2, spare[1] // 2
        return _half(spare[0]), _half(spare[1])

    def _pass(self, values: Tensor, size: Any) -> Tensor:
        """One direction of the resize, rounded to whole values: Pillow keeps uint8 between its two passes."""
        resized = functional.interpolate(values, size=size, mode=self.interpolation, antialias=True)
        return torch.floor(resized + _HALF).clamp(0, 255)

    def normalised(self, values: Tensor) -> Tensor:
        """Values of 0 to 255, [..., 3, h, w], as the encoder reads them."""
        mean = torch.tensor(self.mean, dtype=values.dtype, device=values.device)[:, None, None]
        std = torch.tensor(self.std, dtype=values.dtype, device=values.device)[:, None, None]
        return (values / self.scale - mean) / std


def _smaller(height: Any, width: Any) -> Any:
    """The shorter side as a number; symbolic while torch.export looks on, a tensor while torch.jit.trace does."""
    return torch.minimum(height, width) if isinstance(height, Tensor) else torch.sym_min(height, width)


def _half(number: int) -> int:
    """Half of a number, which may be symbolic, rounded to even."""
    return number // 2 + (number % 2) * ((number // 2) % 2)
