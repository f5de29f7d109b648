"""What every way of sharing a model has in common, and the simplest of them: one process alone."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from headstart_server.model.ecd import ECD, Batch
from headstart_server.model.ghost_norm import GhostBatchNorm1d
from headstart_server.model.world import World
from headstart_server.training.checkpoint import Allocator
from headstart_server.training.precision import Precision
from headstart_server.training.stepping import Clipping

State = dict[str, Tensor]
"""What training changes, by name, on the CPU, as one process holds it."""


@dataclass(frozen=True)
class Sharing:
    """How processes share a model."""

    strategy: str = "ddp"
    """`ddp`, `fsdp` or `deepspeed`."""
    stage: int = 2
    """Of `deepspeed`: what is in parts."""
    recompute: bool = False
    """Whether the blocks of encoders that train compute their activations again in the backward pass."""
    offload: bool = False
    """`fsdp`: whether a GPU's part lies in the machine's memory until its block runs."""
    in_passes: bool = False
    """Whether a batch takes several passes, because there are fewer processes than it is made for."""
    half: bool = False
    """Whether encoders compute in bf16; of `fsdp` blocks also travel so. What is kept and summed up stays float32."""


class Parallel(Protocol):
    """A model and the world that trains it. Gradients are averaged over processes."""

    world: World
    model: ECD
    in_parts: bool
    """Whether no process holds all of the model."""
    saves_in_parts: bool
    """Whether each process writes its own part of a checkpoint."""
    clips: bool
    """Whether `adopt` sees to clipping."""

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Logits of this process's rows."""

    def probe(self, batch: Batch) -> dict[str, Tensor]:
        """Logits of rows that are no step's: no backward pass follows."""

    def synced(self, last: bool, *, idle: bool) -> AbstractContextManager[object]:
        """The context of a forward and backward pass; gradients travel in the `last` of those that share a step.

        An `idle` process runs a row that does not count.
        """

    def adopt(self, optimizer: Optimizer, clipping: Clipping | None) -> Optimizer:
        """What steps the parameters: an optimizer over them, or what takes its place and clips by itself."""

    def backward(self, loss: Tensor, precision: Precision) -> None:
        """The backward pass."""

    def settle(self) -> None:
        """Makes what each process has noted by itself everybody's mean: running statistics of encoders' batch norms."""

    def snapshot(self) -> State:
        """A copy of what this process holds of the learned state."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of `snapshot`."""

    def wholes(self, state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
        """A snapshot put together from everybody's parts, tensor by tensor; all processes go through all of it."""

    def kept(self, state: State) -> State:
        """What this process writes of a snapshot into a checkpoint."""

    def allocator(self) -> Allocator:
        """Makes room for what is read of a checkpoint."""

    def taken(self, state: State) -> State:
        """The snapshot that it was, of what has been read."""


class Alone:
    """One process."""

    in_parts = saves_in_parts = clips = False

    def __init__(self, model: ECD, world: World | None = None) -> None:
        self.model, self.world = model, world or World()
        norms = (module for module in model.modules() if isinstance(module, GhostBatchNorm1d))
        self._norms = list(norms) if self.world.size > 1 else []
        for norm in self._norms:
            norm.world = self.world

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Runs the model."""
        logits: dict[str, Tensor] = self.model(batch)
        return logits

    def probe(self, batch: Batch) -> dict[str, Tensor]:
        """Runs the model in this process alone."""
        # not `self(batch)`, which DDP and DeepSpeed take for the first half of a step
        return Alone.__call__(self, batch)

    def synced(self, last: bool, *, idle: bool) -> AbstractContextManager[object]:
        """Marks norms as idle or not."""
        for norm in self._norms:
            norm.idle = idle
        return nullcontext()

    def adopt(self, optimizer: Optimizer, clipping: Clipping | None) -> Optimizer:
        """The optimizer itself."""
        del clipping
        return optimizer

    def backward(self, loss: Tensor, precision: Precision) -> None:
        """Backpropagates."""
        precision.backward(loss)

    def settle(self) -> None:
        """Averages over processes."""
        noted = [] if self.world.size == 1 else _noted(self.model)
        if noted:
            mean = self.world.all_reduce_sum(torch.cat(noted)) / self.world.size
            for own, average in zip(noted, torch.split(mean, [len(tensor) for tensor in noted]), strict=True):
                own.copy_(average)

    def snapshot(self) -> State:
        """The learned state."""
        return {key: tensor.detach().cpu().clone() for key, tensor in self.model.learned_state().items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Loads it."""
        self.model.load_learned_state(state)

    def wholes(self, state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
        """It is whole."""
        yield from state.items()

    def kept(self, state: State) -> State:
        """All that it has."""
        return state

    def allocator(self) -> Allocator:
        """Memory of the CPU."""
        return lambda _, shape, dtype: torch.empty(shape, dtype=dtype)

    def taken(self, state: State) -> State:
        """It is one."""
        return state


def _noted(model: ECD) -> list[Tensor]:
    """Running means and variances of batch norms in encoders that train. Ghost norms see to theirs at every step."""
    encoders = [item.encoder for item in model.pretrained().values() if item.tuning.trains]
    norms = [module for encoder in encoders for module in encoder.modules() if isinstance(module, _BatchNorm)]
    return [value for norm in norms for value in (norm.running_mean, norm.running_var) if value is not None]
