"""The image paths of `make gpu-check`: mobilenet_v2 with random weights, on noise; the arithmetic is the same."""

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torchvision
from headstart_server.encoders.image import FEATURES, ImageEncoder, load_image_encoder
from headstart_server.encoders.image_passes import encode_crops
from headstart_server.encoders.sources import ModelSources
from headstart_server.encoders.torchvision_models import architecture
from headstart_server.encoders.torchvision_weights import TorchvisionSource, find_weights
from PIL import Image

from benchmarks.support.engine import Engine

_NAME = "mobilenet_v2"
_TOLERANCE = {"fp32": 1e-2, "bf16": 0.2, "fp16": 0.05}
"""Of the largest value; convolutions on a GPU compute fp32 in TF32."""
_BATCHES, _BATCH = 64, 64
_IMAGES = 600

Line = tuple[str, str, str]


def image_passes(folder: Path, device: torch.device) -> Iterator[Line]:
    """The embedding pass over crops at each precision, beside fp32 on the CPU for the first of them."""
    source = _weights(folder)
    generator = torch.Generator().manual_seed(0)
    crops = torch.randint(0, 256, (_BATCH, 3, 224, 224), dtype=torch.uint8, generator=generator)
    expected = _encoded(_encoder(source, "fp32", torch.device("cpu")), crops[:8], 1, torch.device("cpu"))
    for precision in ("fp32", "bf16", "fp16"):
        encoder = _encoder(source, precision, device)
        found = _encoded(encoder, crops, 2, device)
        start = time.perf_counter()
        _encoded(encoder, crops, _BATCHES, device)
        seconds = time.perf_counter() - start
        difference = float(np.abs(found[:8] - expected).max() / np.abs(expected).max())
        verdict = "differs" if difference <= _TOLERANCE[precision] else "WRONG: differs"
        speed = f"{_BATCHES * _BATCH / seconds:,.0f} images/s"
        yield f"image embedding pass, {precision}", f"{verdict} by {difference:.1e} of the largest value", speed


def image_trainings(folder: Path, engine: Engine) -> Iterator[Line]:
    """Whole trainings on image files through the engine: stored, and trainable with augmentation and AMP."""
    _weights(folder)
    flips = [{"type": "random_horizontal_flip"}]
    cases: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "images, frozen and stored": ({}, {}),
        "images, trainable, augmented": ({"encoder": {"trainable": True}, "augmentation": flips}, {}),
        "images, trainable, augmented, AMP": (
            {"encoder": {"trainable": True}, "augmentation": flips},
            {"use_mixed_precision": True},
        ),
    }
    columns = _bright_and_dark()
    for title, (feature, options) in cases.items():
        spec = {
            "input_features": [
                {
                    "name": "image",
                    "type": "image",
                    **feature,
                    "encoder": {"type": "mobilenetv2", **feature.get("encoder", {})},
                }
            ],
            "output_features": [{"name": "label", "type": "category"}],
            "trainer": {"epochs": 3, "batch_size": 32, **options},
        }
        train = {name: values[60:] for name, values in columns.items()}
        validation = {name: values[:60] for name, values in columns.items()}
        epochs = engine.train(spec, train, validation)
        first, last = epochs[0], epochs[-1]
        verdict = "loss" if last.train["loss"] < first.train["loss"] else "WRONG: loss"
        result = f"{verdict} {first.train['loss']:.3f} to {last.train['loss']:.3f}"
        waited = last.data_wait_seconds / last.train_seconds
        yield title, result, f"{last.rows_per_second:,.0f} images/s, {waited:.0%} of it waiting for data"


def _weights(folder: Path) -> TorchvisionSource:
    path = folder / _NAME / "random.pth"
    if not path.is_file():
        path.parent.mkdir(parents=True)
        torch.manual_seed(0)
        model = torchvision.models.mobilenet_v2(weights=None)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0  # statistics of the one batch, without which features vanish
        with torch.no_grad():
            model.train()(torch.randn(16, 3, 224, 224))
        torch.save(model.state_dict(), path)
    return find_weights(ModelSources(folder), architecture("mobilenetv2", "base", "variant"), _NAME, "weights")


def _encoder(source: TorchvisionSource, precision: str, device: torch.device) -> ImageEncoder:
    encoder = load_image_encoder(source, source.transform, FEATURES, use_pretrained=True, field="weights")
    return encoder.fused().at(precision, device)


def _encoded(encoder: ImageEncoder, crops: torch.Tensor, times: int, device: torch.device) -> npt.NDArray[np.float32]:
    batches = ((np.arange(len(crops)), crops) for _ in range(times))
    found = list(encode_crops(encoder, batches, device))
    return np.concatenate([embeddings for _, embeddings in found])[: len(crops)]


def _bright_and_dark() -> dict[str, list[Any]]:
    """Noise in two brightnesses as PNG files."""
    generator = np.random.default_rng(0)
    files, labels = [], []
    for index in range(_IMAGES):
        pixels = generator.integers(0, 256, (64, 64, 3)) // 2 + (64 if index % 2 else 0)
        file = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
        files.append(file.getvalue())
        labels.append("bright" if index % 2 else "dark")
    return {"image": files, "label": labels}
