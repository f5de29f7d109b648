"""What heads have in common that learn all outputs at once, without steps: scores side by side, shaped to logits."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.encoders.catalog import INDICATOR_TYPES
from headstart_server.model.decoders import Output, logit_columns
from headstart_server.model.head import Head
from headstart_server.spec.model import CombinerSpec


class ScoredHead(Head):
    """A head whose scores [b, columns] are the logits of all outputs, side by side. It has no parameters."""

    encoder_types = INDICATOR_TYPES

    def __init__(self, widths: Sequence[int], outputs: Sequence[FittedFeature], combiner: CombinerSpec) -> None:
        super().__init__(widths, outputs, combiner)
        self.output_names = [feature.name for feature in outputs]
        self.columns = [logit_columns(feature) for feature in outputs]
        self.outputs = nn.ModuleList(map(Output, outputs))

    @abstractmethod
    def scores(self, rows: Tensor) -> Tensor:
        """Of all outputs, [b, columns], for all inputs side by side [b, d], float32."""

    def forward(self, encoded: Sequence[Tensor]) -> dict[str, Tensor]:
        """See Head."""
        return self.logits(self.scores(joined(encoded)))

    def logits(self, scores: Tensor) -> dict[str, Tensor]:
        """By output, of what `scores` gives."""
        parts = torch.split(scores, self.columns, 1)
        return {name: output.shaped(part) for (name, output), part in zip(self._outputs(), parts, strict=True)}

    def calibrated(self, logits: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See Head."""
        return {name: output.calibrated(logits[name]) for name, output in self._outputs()}

    def probabilities(self, logits: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See Head."""
        return {name: output.probabilities(logits[name]) for name, output in self._outputs()}

    def calibrate(self, output: str, temperature: float) -> None:
        """See Head."""
        dict(self._outputs())[output].temperature.fill_(temperature)

    def _outputs(self) -> list[tuple[str, Output]]:
        found = []
        for name, output in zip(self.output_names, self.outputs, strict=True):
            assert isinstance(output, Output)
            found.append((name, output))
        return found


class FittedHead(ScoredHead):
    """A head that learns in one go. What it learns is buffers."""

    squares = 0.0
    """Matrices [d, d] in float64 that fitting it takes."""

    @abstractmethod
    def fit(
        self, rows: Tensor, targets: Mapping[str, Tensor], weights: Mapping[str, Tensor | None] | None = None
    ) -> None:
        """Fits it to all training rows: inputs side by side [n, d], targets [n] or [n, k] by output, and how much each
        row of an output's targets counts [n], None where all count alike."""


def joined(encoded: Sequence[Tensor]) -> Tensor:
    """All inputs side by side, [b, d], float32."""
    return torch.cat([each.float() for each in encoded], 1)


def wanted_scores(kind: str, targets: Tensor, columns: int) -> Tensor:
    """Targets as columns [n, columns], float32: of labels their indicators, otherwise the values."""
    if kind == "category":
        return torch.nn.functional.one_hot(targets.long(), columns).float()
    return targets.float().reshape(len(targets), columns)
