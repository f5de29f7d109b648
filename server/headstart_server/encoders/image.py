"""Pretrained image encoders: torchvision's classifiers without their heads, and transformers' vision models."""

import copy
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.fx.experimental.optimization import fuse
from torch.fx.proxy import TraceError

from headstart_server.data.images.transform import ImageTransform
from headstart_server.encoders.deferred import DeferredEncoder
from headstart_server.encoders.pooling import pool
from headstart_server.encoders.precision import DTYPES
from headstart_server.encoders.pretrained import PretrainedEncoder
from headstart_server.encoders.sources import ModelSource
from headstart_server.encoders.torchvision_checkpoints import load_features
from headstart_server.encoders.torchvision_models import dimension_of as torchvision_dimension
from headstart_server.encoders.torchvision_models import headless
from headstart_server.encoders.torchvision_weights import ABOUT, TorchvisionSource
from headstart_server.encoders.traced import Pass, traced
from headstart_server.encoders.vision_transformers import unread_model, vision_config, vision_model

FEATURES = "features"
"""The reduction of torchvision's models: what their classifier reads."""

ImageSource = TorchvisionSource | ModelSource


class ImageEncoder(PretrainedEncoder):
    """A vision model behind its normalisation: crops [b, 3, h, w] with values 0 to 255 (uint8 or float) to [b, d]."""

    def __init__(self, model: nn.Module, reduction: str, dimension: int, transform: ImageTransform) -> None:
        super().__init__()
        self.model = model
        self.reduction = reduction
        self.dimension = dimension
        self.transform = transform
        self.dtype = torch.float32
        self._traced: Pass | None = None

    def forward(self, crops: Tensor) -> Tensor:
        """Normalises in float32; the model computes in its own type."""
        return (self._traced or self._read)(crops)

    def _read(self, crops: Tensor) -> Tensor:
        values = self.transform.normalised(crops.float()).to(self.dtype)
        if self.reduction == FEATURES:
            features: Tensor = self.model(values)
            return features
        output = self.model(pixel_values=values, return_dict=True)
        if self.reduction == "cls_pooled":
            pooled: Tensor = output.pooler_output
            return pooled.flatten(1)
        states: Tensor = output.last_hidden_state  # [b, t, d], or of convolutions [b, d, h, w]
        return pool(states.flatten(2).transpose(1, 2) if states.dim() == 4 else states, None, self.reduction)

    def for_answers(self, device: torch.device, precision: str = "fp32") -> "ImageEncoder":
        """See PretrainedEncoder."""
        encoder = self.fused().at(precision, device).requires_grad_(False)
        if device.type == "cpu":
            encoder._trace()
        return encoder

    def _trace(self) -> None:
        """Has images read without Python from now on, where that gives the same."""
        if isinstance(self.model, GraphModule):  # which branches on nothing
            draw = torch.Generator().manual_seed(0)
            shapes = [(images, 3, *self.transform.crop) for images in (2, 1)]
            examples = [(torch.randint(256, shape, generator=draw, dtype=torch.uint8),) for shape in shapes]
            self._traced = traced(self._read, self.model, (self.model.code, self.transform), examples)

    def at(self, precision: str, device: torch.device) -> "ImageEncoder":
        """Moved to a device, its weights in `fp32`, `bf16` or `fp16`, laid out as convolutions compute fastest."""
        self.dtype = DTYPES[precision]
        self.model.to(device=device, dtype=self.dtype)
        return self.in_fast_layout()

    def in_fast_layout(self) -> "ImageEncoder":
        """Channels last, on which convolutions run faster on CPUs and on tensor cores."""
        self.model.to(memory_format=torch.channels_last)
        return self

    def fused(self) -> "ImageEncoder":
        """A frozen encoder with its batch norms folded into the convolutions before them, where it can be traced."""
        if self.reduction != FEATURES:
            return self
        try:
            model = fuse(self.model)
        except (TraceError, TypeError, ValueError, RuntimeError):
            return self  # control flow that depends on values: it computes the same unfused
        fused = copy.copy(self)
        # A dict of its own: the shallow copy shares the original's, which stays unfused.
        fused._modules = {"model": model}
        return fused.in_fast_layout()


def opened_source(name: str, folder: Path) -> ImageSource:
    """The source in a folder of this server's own: torchvision's weights with their description, or transformers'."""
    return TorchvisionSource.opened(name, folder) if (folder / ABOUT).is_file() else ModelSource(name, folder)


def dimension_of(source: ImageSource) -> int:
    """Width of the source's embeddings."""
    if isinstance(source, TorchvisionSource):
        return torchvision_dimension(source.architecture)
    return int(vision_config(source).hidden_size)


def load_image_encoder(
    source: ImageSource, transform: ImageTransform, reduction: str, *, use_pretrained: bool, field: str
) -> ImageEncoder:
    """The encoder in float32, in evaluation mode; random weights of the same architecture unless `use_pretrained`."""
    if isinstance(source, TorchvisionSource):
        model = _torchvision_model(source, use_pretrained=use_pretrained, field=field)
    else:
        model = vision_model(source, reduction, use_pretrained=use_pretrained, field=field)
    return ImageEncoder(model, reduction, dimension_of(source), transform).in_fast_layout().eval()


def defer_image_encoder(source: ImageSource, transform: ImageTransform, reduction: str) -> DeferredEncoder | None:
    """The encoder with its parameters yet to be read; None where the files do not hold them as the model does."""
    if not isinstance(source, ModelSource) or (unread := unread_model(source)) is None:
        return None
    model, names = unread
    encoder = ImageEncoder(model, reduction, dimension_of(source), transform).eval()
    return DeferredEncoder(encoder, source.folder, names)


def save_image_encoder(folder: Path, encoder: ImageEncoder, source: ImageSource) -> None:
    """Saves a fine-tuned encoder whole, in float32, so that `opened` finds it in `folder`."""
    if isinstance(source, TorchvisionSource):
        state = {key: value.detach().cpu().contiguous() for key, value in encoder.model.state_dict().items()}
        save_file(state, folder / "weights.safetensors")
        source.describe(folder)
    else:
        model: Any = encoder.model
        model.save_pretrained(folder)
        transformers.AutoImageProcessor.from_pretrained(source.folder, local_files_only=True).save_pretrained(folder)


def _torchvision_model(source: TorchvisionSource, *, use_pretrained: bool, field: str) -> nn.Module:
    if not use_pretrained:
        return headless(source.architecture, source.transform.crop, random=True)
    return load_features(source.architecture, source.transform.crop, source.read(field), source.name, field)
