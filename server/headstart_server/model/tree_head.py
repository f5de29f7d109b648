"""The head of `model_type: gbm`: boosted trees over all encoded inputs, some for every output."""

from collections.abc import Sequence

import torch
from torch import Tensor

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.model.scored_head import ScoredHead
from headstart_server.model.trees import Trees
from headstart_server.spec.model import CombinerSpec


class TreeHead(ScoredHead):
    """Trees whose scores are the logits of all outputs. LightGBM grows them."""

    kind = "gbm"

    def __init__(self, widths: Sequence[int], outputs: Sequence[FittedFeature], combiner: CombinerSpec) -> None:
        super().__init__(widths, outputs, combiner)
        self.trees = Trees(sum(self.columns))

    def scores(self, rows: Tensor) -> Tensor:
        """See ScoredHead."""
        if torch.compiler.is_exporting():
            stands: Tensor = trees_of_rows(rows, sum(self.columns))
            return stands
        scores: Tensor = self.trees(rows).float()
        return scores


@torch.library.custom_op("headstart::trees", mutates_args=())
def trees_of_rows(rows: Tensor, columns: int) -> Tensor:
    """Stands for the trees in an exported program, whose format has an operation of its own for them."""
    raise NotImplementedError("trees are part of the format that is exported to")


@trees_of_rows.register_fake
def _(rows: Tensor, columns: int) -> Tensor:
    return rows.new_empty(rows.shape[0], columns)
