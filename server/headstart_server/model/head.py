"""What every kind of head can do: turn encoded features into predictions. A kind is a file of its own, and a line in
`heads.HEADS`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.encoders.catalog import DEFAULT_TYPES
from headstart_server.spec.model import CombinerSpec


class Head(nn.Module, ABC):
    """Steps with the loop by its parameters, unless it is a ScoredHead; its state is a state dict; it is
    exported by being traced."""

    kind: ClassVar[str]
    """As bundles name it."""
    encoder_types: ClassVar[Mapping[str, str]] = DEFAULT_TYPES
    """The encoder that an input has unless its spec names one, by the input's type."""

    @abstractmethod
    def __init__(self, widths: Sequence[int], outputs: Sequence[FittedFeature], combiner: CombinerSpec) -> None:
        """A head over inputs of these widths."""
        super().__init__()

    @abstractmethod
    def forward(self, encoded: Sequence[Tensor]) -> dict[str, Tensor]:
        """Encoded features [b, d] in the order of the inputs, to logits by output."""

    @abstractmethod
    def calibrated(self, logits: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits whose probabilities are calibrated."""

    @abstractmethod
    def probabilities(self, logits: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Calibrated probabilities by output; values for numbers and vectors."""

    @abstractmethod
    def calibrate(self, output: str, temperature: float) -> None:
        """Sets the temperature of an output's probabilities."""
