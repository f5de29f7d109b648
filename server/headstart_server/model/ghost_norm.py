"""Ghost batch normalisation: batch statistics over virtual batches (Hoffer et al. 2017, arXiv:1705.08741)."""

import torch
from torch import Tensor, nn

from headstart_server.model.world import AllReduceSum, World


class GhostBatchNorm1d(nn.Module):
    """Batch norm whose training statistics come from chunks of `virtual_batch_size` rows; [b, d] to [b, d].

    Large batches keep the regularising noise of small ones. Running statistics, used in evaluation, are updated once
    per chunk, as nn.BatchNorm1d does per batch. A last chunk of one row has no variance and joins the one before.
    None for `virtual_batch_size` is one chunk: plain batch norm.

    In a larger `world` each process has chunks of its own, whose statistics all processes take note of by rank, as one
    process with all rows does where shares are multiples of the virtual batch; plain batch norm is over all rows of all
    processes (as torch.nn.SyncBatchNorm, which has no CPU form).
    """

    def __init__(self, width: int, virtual_batch_size: int | None = 128) -> None:
        super().__init__()
        self.virtual_batch_size = virtual_batch_size
        self.norm = nn.BatchNorm1d(width)
        self.world = World()
        self.idle = False
        """Whether this process runs a row that does not count."""

    def forward(self, rows: Tensor) -> Tensor:
        """Normalises; a single training row passes through with running statistics."""
        if not self.training:
            evaluated: Tensor = self.norm(rows)
            return evaluated
        if self.world.size > 1:
            return self._over_all_processes(rows) if self.virtual_batch_size is None else self._chunk_by_chunk(rows)
        if rows.shape[0] == 1:
            return self._with_running_statistics(rows)
        return torch.cat([self.norm(chunk) for chunk in self._chunks(rows)])

    def _with_running_statistics(self, rows: Tensor) -> Tensor:
        norm = self.norm
        return nn.functional.batch_norm(
            rows, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps
        )

    def _chunks(self, rows: Tensor) -> list[Tensor]:
        chunks = list(torch.split(rows, self.virtual_batch_size or len(rows)))
        if len(chunks) > 1 and chunks[-1].shape[0] == 1:
            chunks[-2:] = [torch.cat(chunks[-2:])]
        return chunks

    def _chunk_by_chunk(self, rows: Tensor) -> Tensor:
        """Normalises own chunks; running statistics follow everybody's, by rank."""
        # a process with one row, idle or not, has no chunk of its own, and takes part in the exchange all the same
        norm, chunks = self.norm, self._chunks(rows) if len(rows) > 1 else []
        with torch.no_grad():
            # unbiased, as nn.BatchNorm1d notes variances; it normalises by the biased ones
            own = [torch.stack([chunk.float().mean(0), chunk.float().var(0)]) for chunk in chunks]
            noted = torch.stack(own) if own else rows.new_empty((0, 2, rows.shape[1]), dtype=torch.float32)
            for mean, variance in self.world.all_gather_uneven(noted).to(rows.device):
                self._follow(mean, variance)
        if not chunks:
            return self._with_running_statistics(rows)
        # without running statistics, which have followed everybody's chunks already
        parts = [
            nn.functional.batch_norm(chunk, None, None, norm.weight, norm.bias, True, 0.0, norm.eps) for chunk in chunks
        ]
        return torch.cat(parts)

    def _over_all_processes(self, rows: Tensor) -> Tensor:
        # the row of an idle process is normalised like others, and is in no sum
        norm, counted = self.norm, 0 if self.idle else len(rows)
        count = int(self.world.all_reduce_sum(torch.tensor(counted)))
        # everybody's count, so that all processes take this way out, or none
        if count == 1:
            return self._with_running_statistics(rows)
        mean = AllReduceSum.apply(rows[:counted].float().sum(0), self.world) / count
        # a second exchange: the mean of squares less the square of the mean would lose digits where means are large
        centred = rows.float() - mean
        variance = AllReduceSum.apply(centred[:counted].square().sum(0), self.world) / count
        with torch.no_grad():
            self._follow(mean, variance * count / (count - 1))
        normalised: Tensor = centred * (variance + norm.eps).rsqrt() * norm.weight + norm.bias
        return normalised

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """One update of the running statistics, as nn.BatchNorm1d makes it."""
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        assert norm.momentum is not None
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance, norm.momentum)
        norm.num_batches_tracked += 1
