"""The processes that train one model together: which rows are whose, and what they exchange."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class World:
    """Process `rank` of `size`. A world of one exchanges nothing.

    A larger one talks through torch.distributed's default process group, which needs a backend for CPU tensors; all its
    processes call the same methods in the same order.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def joined(cls) -> "World":
        """The world of the default process group."""
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def leads(self) -> bool:
        """Whether this process speaks for all."""
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """This process's rows of a batch: a piece in the batch's order. Pieces differ by a row at most; one may be
        empty."""
        return self.shares(rows)[self.rank]

    def shares(self, rows: Tensor) -> Sequence[Tensor]:
        """Everybody's rows of a batch, by rank."""
        return (rows,) if self.size == 1 else torch.tensor_split(rows, self.size)

    def portion(self, rows: Tensor) -> tuple[Tensor, int]:
        """(the rows that this process runs of a batch, how many of them count).

        Where there are fewer rows than processes, those left over run the first row for nothing: every process takes
        part in every step.
        """
        share = self.share(rows)
        count = share.shape[0]
        return (share, count) if count else (rows[:1], 0)

    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """The sum of everybody's tensors, which have one shape."""
        if self.size == 1:
            return values
        total = values.clone()
        dist.all_reduce(total)
        return total

    def all_reduce_min(self, value: int) -> int:
        """The smallest of everybody's numbers."""
        if self.size == 1:
            return value
        found = torch.tensor(value)
        dist.all_reduce(found, dist.ReduceOp.MIN)
        return int(found)

    def all_gather(self, values: Tensor, counts: Sequence[int]) -> Tensor:
        """Everybody's rows one after another, by rank, on the CPU. `counts` are the rows of each rank."""
        values = values.cpu()
        if self.size == 1:
            return values
        # `dist.all_gather` wants tensors of one shape from everybody
        padded = values.new_zeros((max(counts), *values.shape[1:]))
        padded[: len(values)] = values
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    def all_gather_uneven(self, values: Tensor) -> Tensor:
        """Like `all_gather`, where nobody knows how many rows the others have."""
        if self.size == 1:
            return values
        count = self.all_gather(torch.tensor([len(values)]), [1] * self.size)
        return self.all_gather(values, count.tolist())

    def digests(self, digest: bytes) -> list[bytes]:
        """Everybody's digest, by rank."""
        own = torch.frombuffer(bytearray(digest), dtype=torch.uint8)[None]
        return [bytes(row.tolist()) for row in self.all_gather(own, [1] * self.size)]

    def agrees(self, digest: bytes) -> bool:
        """Whether everybody has the same digest."""
        return len(set(self.digests(digest))) == 1

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Makes everybody's tensors those of rank 0, in place."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)

    def broadcast_object(self, value: Any) -> Any:
        """What rank 0 has, as everybody receives it: plain values of JSON."""
        if self.size == 1:
            return value
        written = bytearray(json.dumps(value).encode()) if self.leads else bytearray()
        size = torch.tensor(len(written))
        dist.broadcast(size, src=0)
        content = (
            torch.frombuffer(written, dtype=torch.uint8) if self.leads else torch.empty(int(size), dtype=torch.uint8)
        )
        dist.broadcast(content, src=0)
        return json.loads(bytes(content.tolist()))

    def all_gather_object(self, value: Any) -> list[Any]:
        """What everybody has, by rank: plain values of JSON."""
        if self.size == 1:
            return [value]
        written = torch.frombuffer(bytearray(json.dumps(value).encode() + b"\n"), dtype=torch.uint8)
        # JSON escapes the line ends within strings, so every process's value is one line
        lines = bytes(self.all_gather_uneven(written).tolist()).splitlines()
        return [json.loads(line) for line in lines]


class AllReduceSum(torch.autograd.Function):
    """`World.all_reduce_sum` through which gradients flow back: each process gets the sum of everybody's gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, world: World) -> Tensor:
        """Sums."""
        ctx.world = world
        return world.all_reduce_sum(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Sums what comes back."""
        return ctx.world.all_reduce_sum(gradient), None
