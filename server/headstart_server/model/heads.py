"""The kinds of heads."""

from headstart_server.model.head import Head
from headstart_server.model.neural_head import NeuralHead
from headstart_server.model.tree_head import TreeHead

HEADS: dict[str, type[Head]] = {head.kind: head for head in (NeuralHead, TreeHead)}
"""By kind."""
