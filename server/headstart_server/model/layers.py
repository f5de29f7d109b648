"""Fully connected stacks, shared by combiner and decoders."""

from collections.abc import Callable

from torch import nn

from headstart_server.model.ghost_norm import GhostBatchNorm1d

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "leakyRelu": nn.LeakyReLU,
    "sigmoid": nn.Sigmoid,
}


def norm_layer(norm: str, width: int, virtual_batch_size: int) -> nn.Module:
    """`batch`, `layer`, `ghost` or `none` over [b, width]."""
    match norm:
        case "batch":
            return GhostBatchNorm1d(width, None)
        case "ghost":
            return GhostBatchNorm1d(width, virtual_batch_size)
        case "layer":
            return nn.LayerNorm(width)
        case _:
            return nn.Identity()


def fully_connected(
    width: int,
    output: int,
    layers: int,
    dropout: float,
    norm: str = "none",
    activation: str = "relu",
    virtual_batch_size: int = 128,
) -> tuple[nn.Sequential, int]:
    """A stack of linear, norm, activation, dropout; returns it and its output width."""
    parts: list[nn.Module] = []
    for _ in range(layers):
        parts.append(nn.Linear(width, output))
        if norm != "none":
            parts.append(norm_layer(norm, output, virtual_batch_size))
        parts.append(ACTIVATIONS[activation]())
        if dropout > 0:
            parts.append(nn.Dropout(dropout))
        width = output
    return nn.Sequential(*parts), width
