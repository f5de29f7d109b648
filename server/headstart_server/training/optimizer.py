"""Optimizers by name, with parameter groups: encoder and head, with and without weight decay."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from headstart_server.model.ecd import ECD
from headstart_server.spec.optimizers import OPTIONS
from headstart_server.spec.training_sections import OptimizerSpec

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
    "adafactor": torch.optim.Adafactor,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "adamax": torch.optim.Adamax,
    "rmsprop": torch.optim.RMSprop,
    "asgd": torch.optim.ASGD,
}
_FUSED = {"adamw", "adam", "sgd", "adagrad"}


def build_optimizer(
    model: ECD, spec: OptimizerSpec, learning_rate: float, head_learning_rate: float, *, fused: bool = True
) -> Optimizer:
    """The optimizer over everything that trains; each group keeps its peak rate as `initial_lr`.

    An encoder's biases and norms are not decayed, as is usual. A head is one group: on stored embeddings a step takes
    half a millisecond, of which every group is a tenth. Not every fused operation knows sharded parameters.
    """
    kind = spec.type or "adamw"
    # torch's own defaults: its Adam and SGD decay nothing
    decay = spec.weight_decay if spec.weight_decay is not None else (0.01 if kind == "adamw" else 0.0)
    encoder = [p for item in model.pretrained().values() for p in item.encoder.parameters() if p.requires_grad]
    seen = {id(parameter) for parameter in encoder}
    head = [p for p in model.parameters() if p.requires_grad and id(p) not in seen]
    groups = [*_encoder_groups(encoder, learning_rate, decay), _group(head, head_learning_rate, decay)]
    return OPTIMIZERS[kind](groups, **_options(kind, spec, fused=fused))


def set_rates(optimizer: Optimizer, rate: Callable[[float], float]) -> float:
    """Sets every group's rate to what `rate` makes of its peak; returns the largest."""
    largest = 0.0
    for group in optimizer.param_groups:
        group["lr"] = rate(group["initial_lr"])
        largest = max(largest, group["lr"])
    return largest


def _encoder_groups(parameters: list[nn.Parameter], rate: float, decay: float) -> list[dict[str, Any]]:
    decayed = [parameter for parameter in parameters if parameter.ndim > 1]
    plain = [parameter for parameter in parameters if parameter.ndim <= 1]
    return [_group(part, rate, weight) for part, weight in ((decayed, decay), (plain, 0.0)) if part]


def _group(parameters: list[nn.Parameter], rate: float, decay: float) -> dict[str, Any]:
    return {"params": parameters, "weight_decay": decay, "lr": rate, "initial_lr": rate}


def _options(kind: str, spec: OptimizerSpec, *, fused: bool) -> dict[str, Any]:
    options: dict[str, Any] = {"fused": True} if fused and kind in _FUSED else {}
    for name in OPTIONS[kind]:
        value = getattr(spec, name)
        if value is not None and value != []:
            options[name] = tuple(value) if name == "betas" else value
    return options
