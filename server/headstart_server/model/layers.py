"""Fully connected stacks, shared by combiner and decoders."""

from collections.abc import Sequence

from torch import nn

from headstart_server.encoders.activations import ACTIVATIONS
from headstart_server.model.ghost_norm import GhostBatchNorm1d
from headstart_server.spec.model import FcLayerSpec

VIRTUAL_BATCH = 128
"""Rows per virtual batch of ghost norm, where the spec does not say."""


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
    width: int, layers: Sequence[FcLayerSpec], virtual_batch_size: int = VIRTUAL_BATCH
) -> tuple[nn.Sequential, int]:
    """A stack of linear, norm, activation, dropout per layer, each complete; returns it and its output width."""
    parts: list[nn.Module] = []
    for layer in layers:
        assert layer.output_size is not None and layer.activation is not None
        parts.append(nn.Linear(width, layer.output_size))
        width = layer.output_size
        if layer.norm is not None and layer.norm != "none":
            parts.append(norm_layer(layer.norm, width, virtual_batch_size))
        parts.append(ACTIVATIONS[layer.activation]())
        if layer.dropout:
            parts.append(nn.Dropout(layer.dropout))
    return nn.Sequential(*parts), width
