"""Tiny random vision models in transformers' layout, each saved to a folder with its image processor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

_LAYERS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
_WORDS = {"vocab_size": 64, "max_position_embeddings": 16, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
_SIZE = {"image_size": 32, "patch_size": 8}


def save_vit(folder: Path) -> Path:
    """A ViT as Google publishes them: stretched to a square, bilinear, mean and deviation of a half."""
    config = transformers.ViTConfig(**_LAYERS, **_SIZE, initializer_range=0.3)
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    return _save(folder, transformers.ViTModel(config), processor)


def save_dinov2(folder: Path) -> Path:
    """A DINOv2: the shorter side resized, the middle cut out, positions interpolated from a larger grid."""
    layers = {key: value for key, value in _LAYERS.items() if key != "intermediate_size"}
    config = transformers.Dinov2Config(**layers, mlp_ratio=2, image_size=48, patch_size=8, initializer_range=0.3)
    processor = transformers.BitImageProcessor(
        size={"shortest_edge": 40},
        crop_size={"height": 32, "width": 32},
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    return _save(folder, transformers.Dinov2Model(config), processor)


def save_clip(folder: Path) -> Path:
    """A CLIP with both towers."""
    text = {**_LAYERS, **_WORDS}
    config = transformers.CLIPConfig(text_config=text, vision_config=_clip_tower(), projection_dim=16)
    return _save(folder, transformers.CLIPModel(config), _clip_processor())


def save_clip_vision(folder: Path) -> Path:
    """The image tower of a CLIP alone."""
    config = transformers.CLIPVisionConfig(**_clip_tower())
    return _save(folder, transformers.CLIPVisionModel(config), _clip_processor())


def save_siglip(folder: Path) -> Path:
    """A SigLIP with both towers, whose image tower pools by attention."""
    text = {**_LAYERS, **_WORDS}
    config = transformers.SiglipConfig(text_config=text, vision_config={**_LAYERS, **_SIZE})
    processor = transformers.SiglipImageProcessor(size={"height": 32, "width": 32})
    return _save(folder, transformers.SiglipModel(config), processor)


def save_convnext(folder: Path, side: int = 32) -> Path:
    """A ConvNeXt, whose processor has a rule of its own for images below 384 pixels."""
    config = transformers.ConvNextConfig(
        hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], image_size=32, layer_scale_init_value=0.5
    )
    processor = transformers.ConvNextImageProcessor(size={"shortest_edge": side})
    return _save(folder, transformers.ConvNextModel(config), processor)


SAVERS: dict[str, Callable[[Path], Path]] = {
    "vit": save_vit,
    "dinov2": save_dinov2,
    "clip": save_clip,
    "clip_vision": save_clip_vision,
    "siglip": save_siglip,
    "convnext": save_convnext,
}


def _clip_tower() -> dict[str, Any]:
    return {**_LAYERS, **_SIZE, "initializer_range": 0.3, "initializer_factor": 3.0}


def _clip_processor() -> Any:
    return transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


def _save(folder: Path, model: Any, processor: Any) -> Path:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():  # those that begin as zeros and ones, too
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
