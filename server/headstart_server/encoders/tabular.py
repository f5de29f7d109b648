"""Learned encoders of tabular features: arrays of one column to vectors."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from headstart_server.core.errors import invalid
from headstart_server.data.features.category import CategoryStatistics
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.features.sets import SetStatistics
from headstart_server.data.features.vector import VectorStatistics
from headstart_server.encoders.activations import ACTIVATIONS
from headstart_server.encoders.catalog import encoder_type
from headstart_server.spec.layers import dense_layers
from headstart_server.spec.model import EncoderSpec

_DENSE_WIDTH = 64
_MAX_EMBEDDING = 50


class Scalar(nn.Module):
    """A number, truth value or index [b] as [b, 1]."""

    dimension = 1

    def forward(self, values: Tensor) -> Tensor:
        """Adds the feature dimension."""
        return values.unsqueeze(1).to(torch.float32)


class Vector(nn.Module):
    """A vector, or the items that are present, [b, d] as it is."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.dimension = dimension

    def forward(self, values: Tensor) -> Tensor:
        """Passes through."""
        return values.to(torch.float32)


class Category(nn.Module):
    """Indices [b] as learned vectors [b, d]."""

    def __init__(self, values: int, dimension: int, dropout: float) -> None:
        super().__init__()
        self.dimension = dimension
        self.embedding = nn.Embedding(values, dimension)
        self.dropout = nn.Dropout(dropout)

    def forward(self, indices: Tensor) -> Tensor:
        """Looks the vectors up."""
        vectors: Tensor = self.dropout(self.embedding(indices))
        return vectors


class OneHot(nn.Module):
    """Indices [b] as [b, values]."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.dimension = values

    def forward(self, indices: Tensor) -> Tensor:
        """One at the index, zero elsewhere."""
        return nn.functional.one_hot(indices, self.dimension).to(torch.float32)


class Set(nn.Module):
    """Multi-hot [b, items] as the mean of learned vectors of the items present [b, d]."""

    def __init__(self, items: int, dimension: int, dropout: float) -> None:
        super().__init__()
        self.dimension = dimension
        self.vectors = nn.Parameter(torch.randn(items, dimension) / dimension**0.5)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hot: Tensor) -> Tensor:
        """The empty set is zeros."""
        present = hot.to(self.vectors.dtype)
        mean = present @ self.vectors / present.sum(1, keepdim=True).clamp(min=1)
        dropped: Tensor = self.dropout(mean)
        return dropped


class Dense(nn.Sequential):
    """Fully connected layers over the values of a number or a vector."""

    def __init__(self, parts: list[nn.Module], dimension: int) -> None:
        super().__init__(*parts)
        self.dimension = dimension


def build_tabular(feature: FittedFeature, field: str, default_types: Mapping[str, str]) -> nn.Module:
    """The encoder of a tabular input, with an attribute `dimension`; default types are those of the model's head.

    Raises InvalidInputError for an unknown type.
    """
    spec = feature.spec.encoder
    kind = encoder_type(spec.type or default_types[feature.spec.type], feature.spec.type, f"{field}.encoder.type").name
    match feature.statistics:
        case CategoryStatistics(vocabulary=vocabulary):
            if kind == "onehot":
                return OneHot(len(vocabulary))
            if kind == "ordinal":
                return Scalar()
            return Category(
                len(vocabulary), spec.embedding_size or _embedding_size(len(vocabulary)), spec.dropout or 0.0
            )
        case SetStatistics(vocabulary=vocabulary):
            if kind == "multihot":
                return Vector(len(vocabulary))
            return Set(len(vocabulary), spec.embedding_size or _embedding_size(len(vocabulary)), spec.dropout or 0.0)
        case VectorStatistics(size=size):
            base: Vector | Scalar = Vector(size)
        case _:
            base = Scalar()
    if feature.spec.type in ("number", "binary", "vector"):
        return _dense(base, spec) if kind == "dense" else base
    raise invalid(f"{field}.type", f"{feature.spec.type!r} has no tabular encoder")


def _embedding_size(values: int) -> int:
    """Width of learned vectors: the rule of thumb 1.6 n^0.56 (fast.ai), at most 50."""
    width: int = round(1.6 * values**0.56)
    return min(_MAX_EMBEDDING, max(2, width))


def _dense(base: Vector | Scalar, spec: EncoderSpec) -> Dense:
    parts: list[nn.Module] = [base]
    width = base.dimension
    for layer in dense_layers(spec, _DENSE_WIDTH):
        assert layer.output_size is not None and layer.activation is not None
        parts += [
            nn.Linear(width, layer.output_size),
            ACTIVATIONS[layer.activation](),
            nn.Dropout(layer.dropout or 0.0),
        ]
        width = layer.output_size
    return Dense(parts, width)
