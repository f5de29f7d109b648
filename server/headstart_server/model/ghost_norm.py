"""Ghost batch normalisation: batch statistics over virtual batches (Hoffer et al. 2017, arXiv:1705.08741)."""

import torch
from torch import Tensor, nn


class GhostBatchNorm1d(nn.Module):
    """Batch norm whose training statistics come from chunks of `virtual_batch_size` rows; [b, d] to [b, d].

    Large batches keep the regularising noise of small ones. Running statistics, used in evaluation, are updated once
    per chunk, as nn.BatchNorm1d does per batch. A last chunk of one row has no variance and joins the one before.
    """

    def __init__(self, width: int, virtual_batch_size: int = 128) -> None:
        super().__init__()
        self.virtual_batch_size = virtual_batch_size
        self.norm = nn.BatchNorm1d(width)

    def forward(self, rows: Tensor) -> Tensor:
        """Normalises; a single training row passes through with running statistics."""
        if not self.training:
            evaluated: Tensor = self.norm(rows)
            return evaluated
        if rows.shape[0] == 1:
            norm = self.norm
            return nn.functional.batch_norm(
                rows, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps
            )
        return torch.cat([self.norm(chunk) for chunk in self._chunks(rows)])

    def _chunks(self, rows: Tensor) -> list[Tensor]:
        chunks = list(torch.split(rows, self.virtual_batch_size))
        if len(chunks) > 1 and chunks[-1].shape[0] == 1:
            chunks[-2:] = [torch.cat(chunks[-2:])]
        return chunks
