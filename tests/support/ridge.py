"""A head that is fitted in closed form: ridge regression, of labels on their indicators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.model.head import FittedHead
from headstart_server.spec.model import CombinerSpec
from torch import Tensor
from torch.nn import functional

ALPHA = 1.0


class RidgeHead(FittedHead):
    """Of one output, a number or a category."""

    kind = "ridge"
    weight: Tensor
    bias: Tensor

    def __init__(self, widths: Sequence[int], outputs: Sequence[FittedFeature], combiner: CombinerSpec) -> None:
        super().__init__(widths, outputs, combiner)
        [output] = outputs
        self.name, self.classes = output.name, len(output.classes)
        self.register_buffer("weight", torch.zeros(sum(widths), max(1, self.classes)))
        self.register_buffer("bias", torch.zeros(max(1, self.classes)))

    def fit(self, encoded: Sequence[Tensor], targets: Mapping[str, Tensor]) -> None:
        """See FittedHead."""
        x, y = torch.cat(list(encoded), 1).double(), targets[self.name]
        wanted = functional.one_hot(y.long(), self.classes).double() if self.classes else y[:, None].double()
        centred, level = x - x.mean(0), wanted.mean(0)
        weight = torch.linalg.solve(centred.T @ centred + ALPHA * torch.eye(x.shape[1]), centred.T @ (wanted - level))
        self.weight.copy_(weight)
        self.bias.copy_(level - x.mean(0) @ weight)

    def forward(self, encoded: Sequence[Tensor]) -> dict[str, Tensor]:
        """See Head."""
        found = torch.cat(list(encoded), 1) @ self.weight + self.bias
        return {self.name: found if self.classes else found.squeeze(1)}

    def calibrated(self, logits: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See Head."""
        return dict(logits)

    def probabilities(self, logits: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See Head."""
        return {name: values.softmax(1) if self.classes else values for name, values in logits.items()}

    def calibrate(self, output: str, temperature: float) -> None:
        """Ridge regression gives no log-odds: there is nothing to calibrate."""
