"""torchvision's own models as the reference: weights at random but lively, features caught before the classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights

_CLASSIFIERS = {
    "ResNet": "fc",
    "RegNet": "fc",
    "ShuffleNetV2": "fc",
    "GoogLeNet": "fc",
    "Inception3": "fc",
    "DenseNet": "classifier",
    "AlexNet": "classifier.6",
    "VGG": "classifier.6",
    "SqueezeNet": "classifier.1",
    "MobileNetV2": "classifier.1",
    "MobileNetV3": "classifier.3",
    "MNASNet": "classifier.1",
    "EfficientNet": "classifier.1",
    "ConvNeXt": "classifier.2",
    "MaxVit": "classifier.5",
    "SwinTransformer": "head",
    "VisionTransformer": "heads.head",
}
"""The last layer by class, read off torchvision's source."""


def reference_model(name: str, size: tuple[int, int]) -> nn.Module:
    """The whole model in evaluation mode, as `weights=...` would make it.

    Batch norms get statistics of their own and vectors some noise: fresh ones hide mistakes (ConvNeXt's layer scale of
    1e-6 switches every block off, a batch norm of mean 0 and variance 1 folds away).
    """
    torch.manual_seed(0)
    options: dict[str, object] = {"image_size": size[0]} if name.startswith("vit_") else {}
    if name in ("googlenet", "inception_v3"):
        options |= {"transform_input": True, "aux_logits": True, "init_weights": False}
    model: nn.Module = get_model(name, weights=None, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.numel() == max(parameter.shape):
                parameter.add_(0.1 * torch.randn_like(parameter))
        _warm_up(model, size)
    return model.eval()


def features_of(model: nn.Module, images: Tensor) -> Tensor:
    """What the classifier reads, [n, d]; an average over places where it is a convolution."""
    caught: list[Tensor] = []
    classifier = model.get_submodule(_CLASSIFIERS[type(model).__name__])
    handle = classifier.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    with torch.inference_mode():
        model(images)
    handle.remove()
    return caught[0].mean((2, 3)) if caught[0].ndim == 4 else caught[0]


def published_size(name: str) -> tuple[int, int]:
    """Height and width of the crops of the recommended weights."""
    crop = get_model_weights(name).DEFAULT.transforms().crop_size
    return int(crop[0]), int(crop[-1])


def _warm_up(model: nn.Module, size: tuple[int, int]) -> None:
    """Statistics of a batch for the batch norms, with dropout and auxiliary classifiers off."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    model.eval()
    for norm in norms:
        norm.train()
        norm.momentum = 0.9
    only_its_own = type(model).__name__ == "MaxVit"
    model(torch.randn(4, 3, *(side if only_its_own else min(side, 160) for side in size)))
