"""The head of a model, as the kind that it is."""

from __future__ import annotations

from headstart_server.model.ecd import ECD
from headstart_server.model.neural_head import NeuralHead


def neural_head(model: ECD) -> NeuralHead:
    """Combiner and decoders."""
    assert isinstance(model.head, NeuralHead)
    return model.head
