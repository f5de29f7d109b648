"""Embeddings of test rows as Predict reads them, where training reads them rounded further."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class ServedRows:
    """Embeddings of some rows, in the arithmetic of Predict."""

    values: Tensor
    """float32 [n, d]."""
    positions: Tensor
    """By row of the job, int64: its place among the n; -1 for others."""

    @classmethod
    def of(cls, values: Tensor, rows: Tensor, total: int) -> "ServedRows":
        """Those of `rows` among the `total` of a job."""
        positions = torch.full((total,), -1, dtype=torch.int64)
        positions[rows] = torch.arange(len(rows))
        return cls(values, positions)

    def with_values(self, values: Tensor) -> "ServedRows":
        """The same rows, their embeddings standardised."""
        return replace(self, values=values)

    def over(self, stored: Tensor, rows: Tensor) -> Tensor:
        """The embeddings of `rows`, float32 [b, d], where `stored` is what training reads of them."""
        places = self.positions[rows]
        known = places >= 0
        found = stored.float().clone()
        found[known.to(found.device)] = self.values[places[known]].to(found.device)
        return found
