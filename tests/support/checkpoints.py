"""Checkpoints of small torchvision models, and an architecture that publishes whatever files a test makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from headstart_server.core.digests import file_digest
from headstart_server.encoders.image import FEATURES, ImageEncoder, load_image_encoder
from headstart_server.encoders.sources import ModelSources
from headstart_server.encoders.torchvision_models import Architecture, architectures
from headstart_server.encoders.torchvision_weights import find_weights
from torch import Tensor

CROPS = (torch.arange(3 * 64 * 64).reshape(1, 3, 64, 64) % 256).float()


def known(name: str) -> Architecture:
    """An architecture by its registry name."""
    return next(item for items in architectures().values() for item in items if item.name == name)


@dataclass(frozen=True)
class Publishing(Architecture):
    """An architecture whose published weights are those of a test: nobody can make a file with a given SHA-256."""

    weights: Mapping[str, Any] = field(default_factory=dict)

    @property
    def published(self) -> Mapping[str, Any]:
        return self.weights


def publishing(name: str, **files: str) -> Publishing:
    """The architecture with published weights `NAME=file name`, the recommended ones first."""
    item = known(name)
    transforms = next(iter(item.published.values())).transforms
    weights = {
        key: SimpleNamespace(name=key, url=f"https://weights.test/{file}", transforms=transforms)
        for key, file in files.items()
    }
    return Publishing(item.name, item.family, item.variant, weights)


def named_by_digest(path: Path) -> Path:
    """The file renamed as torchvision does, `NAME-a1b2c3d4.pth`."""
    return path.rename(path.with_name(f"{path.stem}-{file_digest(path)[:8]}{path.suffix}"))


def loaded(root: Path, item: Architecture, name: str | None) -> ImageEncoder:
    """The encoder with those weights of a model root."""
    source = find_weights(ModelSources(root), item, name, "f")
    return load_image_encoder(source, source.transform, FEATURES, use_pretrained=True, field="f")


def features(encoder: ImageEncoder) -> Tensor:
    """Of a fixed image."""
    with torch.inference_mode():
        found: Tensor = encoder(CROPS)
        return found
