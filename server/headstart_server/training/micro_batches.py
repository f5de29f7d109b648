"""How batches are cut into forward passes, and which of these share a step of the optimizer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class MicroBatch:
    """One forward and backward pass of all processes together."""

    rows: Tensor
    """Everybody's row numbers."""
    step_rows: Tensor
    """Those of all passes that share its step."""
    last: bool
    """Whether the step follows."""


def cut(batches: Sequence[Tensor], accumulation: int, most_rows: int) -> Iterator[MicroBatch]:
    """Micro-batches of at most so many rows; `accumulation` batches share a step, at the end those left over."""
    for start in range(0, len(batches), accumulation):
        together = batches[start : start + accumulation]
        # one tensor for all passes of the step, by which `StepLoss` tells one step from the next
        step_rows = together[0] if len(together) == 1 else torch.cat(list(together))
        # of nearly one length: `torch.split` would leave a last pass of few rows, of which norms see too little
        parts = [part for rows in together for part in torch.tensor_split(rows, -(-len(rows) // most_rows))]
        for part in parts:
            yield MicroBatch(part, step_rows, last=part is parts[-1])
