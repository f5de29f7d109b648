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
    count: int
    """How many rows share its step."""
    last: bool
    """Whether the step follows."""


@dataclass(frozen=True)
class PassLimits:
    """What all processes together run at once at most."""

    rows: int
    tokens: int = 0
    """With padding; 0: as many as the rows have. A row alone may have more."""
    lengths: Tensor | None = None
    """Of each row, in tokens."""

    def passes(self, rows: Tensor) -> int:
        """In how many passes a batch is run."""
        count = rows.shape[0]  # `len` of a tensor takes ten times as long
        needed = -(-count // self.rows)
        if self.tokens and self.lengths is not None:
            longest = int(self.lengths[rows].max())
            needed = max(needed, -(-count * longest // self.tokens))
        return min(needed, count)


def cut(batches: Sequence[Tensor], accumulation: int, limits: PassLimits) -> Iterator[MicroBatch]:
    """Micro-batches within the limits; `accumulation` batches share a step, at the end those left over."""
    for start in range(0, len(batches), accumulation):
        together = batches[start : start + accumulation]
        # one tensor for all passes of the step, by which `StepLoss` tells one step from the next
        step_rows = together[0] if len(together) == 1 else torch.cat(list(together))
        count = step_rows.shape[0]
        # of nearly one length: `torch.split` would leave a last pass of few rows, of which norms see too little
        parts = [part for rows in together for part in _split(rows, limits.passes(rows))]
        for part in parts:
            yield MicroBatch(part, step_rows, count, last=part is parts[-1])


def _split(rows: Tensor, count: int) -> Sequence[Tensor]:
    return (rows,) if count == 1 else torch.tensor_split(rows, count)
