"""The head of `model_type: gbm`: boosted trees over all encoded inputs, some for every output."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.encoders.catalog import TREE_TYPES
from headstart_server.model.decoders import Output, logit_columns
from headstart_server.model.head import Head
from headstart_server.model.trees import Trees
from headstart_server.spec.model import CombinerSpec


class TreeHead(Head):
    """Trees whose scores are the logits of all outputs, side by side. It has no parameters: LightGBM grows them."""

    kind = "gbm"
    encoder_types = TREE_TYPES

    def __init__(self, widths: Sequence[int], outputs: Sequence[FittedFeature], combiner: CombinerSpec) -> None:
        super().__init__(widths, outputs, combiner)
        self.output_names = [feature.name for feature in outputs]
        self.columns = [logit_columns(feature) for feature in outputs]
        self.trees = Trees(sum(self.columns))
        self.outputs = nn.ModuleList(map(Output, outputs))

    def forward(self, encoded: Sequence[Tensor]) -> dict[str, Tensor]:
        """See Head."""
        scores = self.scores(torch.cat([each.float() for each in encoded], 1))
        return self.logits(scores)

    def scores(self, rows: Tensor) -> Tensor:
        """Of all outputs, [b, columns]."""
        if torch.compiler.is_exporting():
            stands: Tensor = trees_of_rows(rows, sum(self.columns))
            return stands
        scores: Tensor = self.trees(rows).float()
        return scores

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


@torch.library.custom_op("headstart::trees", mutates_args=())
def trees_of_rows(rows: Tensor, columns: int) -> Tensor:
    """Stands for the trees in an exported program, whose format has an operation of its own for them."""
    raise NotImplementedError("trees are part of the format that is exported to")


@trees_of_rows.register_fake
def _(rows: Tensor, columns: int) -> Tensor:
    return rows.new_empty(rows.shape[0], columns)
