"""A penalty on the size of what is trained, as a term of the loss that is never computed: its gradient is known."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch.nn import Parameter


@dataclass(frozen=True)
class Penalty:
    """`l1` times the sum of absolute values plus `l2` times the sum of squares, of every parameter that trains."""

    l1: float = 0.0
    l2: float = 0.0

    @classmethod
    def of(cls, kind: str, weight: float) -> "Penalty | None":
        """The penalty called `l1`, `l2` or `l1_l2`; None where it weighs nothing."""
        if weight == 0:
            return None
        return cls(l1=weight if "l1" in kind else 0.0, l2=weight if "l2" in kind else 0.0)

    @torch.no_grad()
    def add_gradients(self, parameters: Iterable[Parameter]) -> None:
        """Adds its gradient to that of each parameter that has one. Of 0 the gradient of the absolute value is 0."""
        for parameter in parameters:
            if parameter.grad is None:
                continue
            if self.l2:
                parameter.grad.add_(parameter, alpha=2.0 * self.l2)
            if self.l1:
                parameter.grad.add_(parameter.sign(), alpha=self.l1)
