"""The kinds of heads."""

from collections.abc import Callable, Sequence

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.model.head import Head
from headstart_server.model.neural_head import NeuralHead
from headstart_server.spec.model import CombinerSpec

HEADS: dict[str, Callable[[Sequence[int], Sequence[FittedFeature], CombinerSpec], Head]] = {
    NeuralHead.kind: NeuralHead,
}
"""By kind: builds a head over inputs of these widths."""
