"""The kinds of heads."""

from headstart_server.model.head import Head
from headstart_server.model.neighbor_head import NeighborHead
from headstart_server.model.neural_head import NeuralHead
from headstart_server.model.ridge_head import RidgeHead
from headstart_server.model.tree_head import TreeHead

HEADS: dict[str, type[Head]] = {head.kind: head for head in (NeuralHead, TreeHead, RidgeHead, NeighborHead)}
"""By kind."""


def head_kind(model_type: str | None) -> str:
    """The kind of the head that a spec's `model_type` names."""
    return model_type if model_type in HEADS else NeuralHead.kind
