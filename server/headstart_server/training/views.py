"""Stored augmented views: several embeddings of each training row, among which every epoch draws."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Views:
    """`values` [views * n, d] holds the first view of n training rows, then the second, and so on."""

    values: Tensor
    positions: Tensor
    """By row of the job, its place among the training rows; -1 for others."""
    seed: int
    standardised: bool = False

    @property
    def count(self) -> int:
        """Views of each row."""
        return len(self.values) // self._rows

    def index(self, rows: Tensor, epoch: int) -> Tensor:
        """Where the view of each row lies that an epoch draws; it depends on (seed, epoch, row) alone."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % (1 << 63))
        drawn = torch.randint(self.count, (len(self.positions),), generator=generator)
        return drawn[rows] * self._rows + self.positions[rows]

    def with_values(self, values: Tensor, *, standardised: bool) -> "Views":
        """The same views, their embeddings elsewhere or standardised."""
        return replace(self, values=values, standardised=standardised)

    @property
    def _rows(self) -> int:
        return int((self.positions >= 0).sum())
