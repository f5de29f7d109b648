"""Checks one variant of torchvision's registry: built, cut, loaded, fused, exported twice, each beside a reference.

Usage: python -m tests.models.check NAME    (prints its findings as JSON)
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from headstart_server.data.images.transform import ImageTransform
from headstart_server.encoders.image import FEATURES, ImageEncoder, load_image_encoder
from headstart_server.encoders.sources import ModelSources
from headstart_server.encoders.torchvision_models import Architecture, architectures
from headstart_server.encoders.torchvision_weights import find_weights, without_weights
from headstart_server.export.graph import ExportGraph
from headstart_server.export.onnx import export_onnx
from headstart_server.export.torchscript import export_torchscript, load_torchscript
from headstart_server.model.ecd import ECD, PretrainedInput
from headstart_server.spec.model import CombinerSpec
from torch import Tensor

from tests.models.reference import features_of, published_size, reference_model
from tests.support.training import feature_of

TOLERANCE = 1e-4
"""Of probabilities, as everywhere; features are compared relative to their largest."""
LARGE = 2e8
"""Parameters from which on fewer images are compared."""


@dataclass
class Findings:
    """What was seen of one variant; `failures` says what is wrong with it, if anything."""

    name: str
    family: str
    variant: str
    torchvision: str = ""
    parameters: int = 0
    width: int = 0
    size: int = 0
    features: float = float("nan")
    fused: float = float("nan")
    onnx: float = float("nan")
    torchscript: float = float("nan")
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


def check(item: Architecture, *, formats: tuple[str, ...] = ("onnx", "torchscript")) -> Findings:
    """Everything that an image encoder does with its architecture."""
    found = Findings(item.name, item.family, item.variant)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _check_random(item, found)
        encoder, crops = _check_loading(item, Path(folder), found)
        _check_fused(encoder, crops, found)
        if formats:
            graph = _graph(encoder, crops)
            for file_format in formats:
                _check_export(graph, file_format, Path(folder), found)
    return found


def _check_random(item: Architecture, found: Findings) -> None:
    source = without_weights(item)
    encoder = load_image_encoder(source, source.transform, FEATURES, use_pretrained=False, field="f")
    found.width, found.size = encoder.dimension, source.transform.crop[0]
    found.parameters = sum(parameter.numel() for parameter in encoder.parameters())
    if published_size(item.name) != source.transform.crop:
        found.failures.append(f"its size is {published_size(item.name)}, not {source.transform.crop}")
    with torch.inference_mode():
        features = encoder(_crops(source.transform, 1))
    if features.shape != (1, encoder.dimension) or not features.isfinite().all():
        found.failures.append(f"random weights give features {tuple(features.shape)}, or some that are not finite")


def _check_loading(item: Architecture, folder: Path, found: Findings) -> tuple[ImageEncoder, Tensor]:
    """A whole checkpoint of torchvision's own model, found and loaded without its classifier."""
    transform = without_weights(item).transform
    crops = _crops(transform, 2)
    reference = reference_model(item.name, transform.crop)
    normalised = (crops / 255 - torch.tensor(transform.mean)[:, None, None]) / torch.tensor(transform.std)[
        :, None, None
    ]
    expected = features_of(reference, normalised)
    (folder / item.name).mkdir()
    torch.save(reference.state_dict(), folder / item.name / "own.pth")
    del reference
    source = find_weights(ModelSources(folder), item, None, "f")
    encoder = load_image_encoder(source, source.transform, FEATURES, use_pretrained=True, field="f")
    with torch.inference_mode():
        found.features = _relative(encoder(crops), expected)
    if not found.features <= TOLERANCE:
        found.failures.append(f"its features differ from torchvision's by {found.features:.1e}")
    return encoder, crops


def _check_fused(encoder: ImageEncoder, crops: Tensor, found: Findings) -> None:
    with torch.inference_mode():
        found.fused = _relative(encoder.fused()(crops), encoder(crops))
    if not found.fused <= TOLERANCE:
        found.failures.append(f"fused, its features differ by {found.fused:.1e}")


def _graph(encoder: ImageEncoder, crops: Tensor) -> ExportGraph:
    """A model of three classes over the encoder, its features standardised as after training."""
    torch.manual_seed(1)
    inputs = (feature_of("photo", "image", ["a.jpg", "b.jpg"]),)
    outputs = (feature_of("kind", "category", ["a", "b", "c"], output=True),)
    item = PretrainedInput(encoder.dimension)
    model = ECD(inputs, outputs, CombinerSpec.model_validate({"num_fc_layers": 1, "output_size": 16}), {"photo": item})
    item.restore(encoder)
    with torch.inference_mode():
        features = encoder(crops)
    item.shift.fill_(features.mean())
    item.scale.fill_(features.std() * encoder.dimension**0.5 / 2.5)
    return ExportGraph(model, inputs, outputs, head_only=False).eval()


def _check_export(graph: ExportGraph, file_format: str, folder: Path, found: Findings) -> None:
    """One format at two sizes and several batch sizes; what torch cannot export is a failure with its reason."""
    difference = 0.0
    try:
        run = _exported(graph, file_format, folder)
        for pixels in _cases(found):
            with torch.inference_mode():
                expected = graph(pixels)[0].numpy()
            difference = max(difference, float(np.abs(run(pixels) - expected).max()))
    except Exception as error:  # noqa: BLE001 - a table of eighty variants goes on
        found.failures.append(f"{file_format}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
        return
    setattr(found, file_format, difference)
    if not difference <= TOLERANCE:
        found.failures.append(f"{file_format} differs by {difference:.1e}")


def _exported(graph: ExportGraph, file_format: str, folder: Path) -> Callable[[Tensor], np.ndarray]:
    """A function of pixels that runs the artifact."""
    if file_format == "onnx":
        path = folder / "onnx" / "model.onnx"
        path.parent.mkdir()
        export_onnx(graph, (_pixels(2, 96, 80),), path)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return lambda pixels: session.run(graph.output_names, {"photo": pixels.numpy()})[0]
    path = folder / "model.pt"
    transform = graph.model.pretrained()["photo"].encoder.transform
    assert isinstance(transform, ImageTransform)
    export_torchscript(graph, (_pixels(1, 96, 80),), {"photo": transform}, path)
    module = load_torchscript(path)

    def run(pixels: Tensor) -> np.ndarray:
        with torch.inference_mode():
            found: np.ndarray = module([pixels])[0].numpy()
            return found

    return run


def _cases(found: Findings) -> list[Tensor]:
    few = found.parameters > LARGE
    own = [_pixels(rows, found.size, found.size) for rows in ((1,) if few else (1, 3))]
    return [*own, _pixels(2, 150, 211)]


def _crops(transform: ImageTransform, count: int) -> Tensor:
    return _pixels(count, *transform.crop).float()


def _pixels(count: int, height: int, width: int) -> Tensor:
    """Smooth noise: its values survive a resize, unlike those of white noise."""
    generator = torch.Generator().manual_seed(count + height)
    coarse = torch.rand(count, 3, 9, 7, generator=generator) * 255
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 255)
    return smooth.round().to(torch.uint8)


def _relative(found: Tensor, expected: Tensor) -> float:
    if found.shape != expected.shape:
        return float("inf")
    return float((found - expected).abs().max() / expected.abs().max())


def main() -> None:
    """Checks the variant that the command line names."""
    import torchvision

    torch.set_num_threads(1)
    item = next(item for items in architectures().values() for item in items if item.name == sys.argv[1])
    started = time.monotonic()
    found = check(item)
    found.seconds = time.monotonic() - started
    found.torchvision = torchvision.__version__
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
