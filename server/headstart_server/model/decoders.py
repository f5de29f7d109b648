"""Decoders: the joined vector to logits, logits to predictions."""

import torch
from torch import Tensor, nn

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.features.vector import VectorStatistics
from headstart_server.model.layers import fully_connected
from headstart_server.spec.layers import fc_layers


class Output(nn.Module):
    """What is alike for an output of every kind of head: the shape of its logits, and what they mean.

    Logits are [b, classes] for category and set, [b] for binary and number, [b, d] for vector. `temperature` divides
    those of category and binary outputs in `probabilities` (Guo et al. 2017, arXiv:1706.04599); it is 1 until then.
    """

    temperature: Tensor

    def __init__(self, feature: FittedFeature) -> None:
        super().__init__()
        self.kind = feature.spec.type
        self.register_buffer("temperature", torch.ones(()))

    def shaped(self, columns: Tensor) -> Tensor:
        """[b, width] as logits."""
        return columns.squeeze(1) if self.kind in ("binary", "number") else columns

    def calibrated(self, logits: Tensor) -> Tensor:
        """Logits whose probabilities are calibrated: changed for categories and binaries alone."""
        return logits / self.temperature if self.kind in ("category", "binary") else logits

    def probabilities(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities, [b, classes] or [b]; logits as they are for numbers and vectors."""
        logits = self.calibrated(logits)
        match self.kind:
            case "category":
                return logits.softmax(1)
            case "binary":
                return logits.sigmoid()
            case "set":
                return logits.sigmoid()
            case _:
                return logits


class Decoder(Output):
    """[b, width] to logits."""

    def __init__(self, width: int, feature: FittedFeature) -> None:
        super().__init__(feature)
        self.stack, width = fully_connected(width, fc_layers(feature.spec.decoder))
        self.projection = nn.Linear(width, logit_columns(feature))

    def forward(self, combined: Tensor) -> Tensor:
        """Logits (normalised values for numbers)."""
        return self.shaped(self.projection(self.stack(combined) if len(self.stack) else combined))


def logit_columns(feature: FittedFeature) -> int:
    """How many numbers the logits of a row are."""
    if feature.spec.type in ("category", "set"):
        return len(feature.classes)
    return feature.statistics.size if isinstance(feature.statistics, VectorStatistics) else 1
