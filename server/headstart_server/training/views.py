"""Stored augmented views: several embeddings of each training row, among which every epoch draws."""

from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True)
class Views:
    """`values` [count * n, d] holds the first view of n training rows, then the second, and so on."""

    values: Tensor
    positions: Tensor
    """By row of the job, its place among the training rows; -1 for others."""
    seed: int
    count: int
    """Views of each row."""
    standardised: bool = False

    def index(self, rows: Tensor, epoch: int) -> Tensor:
        """Where the view of each row lies that an epoch draws; it depends on (seed, epoch, row) alone."""
        drawn = _mixed(rows.numpy(), f"{self.seed},{epoch}") % np.uint64(self.count)
        return torch.from_numpy(drawn.astype(np.int64)) * (len(self.values) // self.count) + self.positions[rows]

    def with_values(self, values: Tensor, *, standardised: bool) -> "Views":
        """The same views, their embeddings elsewhere or standardised."""
        return replace(self, values=values, standardised=standardised)


def _mixed(rows: npt.NDArray[np.int64], seed: str) -> npt.NDArray[np.uint64]:
    """A random number of each row's own: SplitMix64 (https://doi.org/10.1145/2714064.2660195), counting by row."""
    # an array of length 1, not a number: sums and products of uint64 arrays wrap around without a warning
    start: npt.NDArray[np.uint64] = np.frombuffer(blake2b(seed.encode(), digest_size=8).digest(), np.uint64)
    mixed: npt.NDArray[np.uint64] = start + rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed
