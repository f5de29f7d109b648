"""How the processes of a world hold one model: alone, a copy each (DDP), or a part each (FSDP)."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from headstart_server.core.digests import fingerprint
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.encoders.text_encoder import TextEncoder
from headstart_server.model.ecd import ECD, Batch
from headstart_server.model.ghost_norm import GhostBatchNorm1d
from headstart_server.model.world import World
from headstart_server.training.blocks import recompute, repeated_blocks
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


def parallelise(model: ECD, world: World, sharing: Sharing) -> "Parallel":
    """The model as a world trains it. Optimizers are built over what its parameters are then."""
    if sharing.recompute:
        for item in model.pretrained().values():
            if item.trainable:
                recompute(item.encoder)
    if sharing.strategy != "ddp" and world.size > 1:
        _require_one_pass(model, sharing.strategy)
    if sharing.strategy == "fsdp":
        return Sharded(model, world, sharing)
    if sharing.strategy == "deepspeed":
        from headstart_server.training.zero import ZeRO

        return ZeRO(model, world, sharing.stage, half=sharing.half)
    return Alone(model) if world.size == 1 else Replicated(model, world)


def _require_one_pass(model: ECD, strategy: str) -> None:
    """Raises FailedPreconditionError for text encoders that read a batch in several passes.

    Processes that hold parts of a model run its blocks together; how many lengths a batch has differs among them.
    """
    for name, item in model.pretrained().items():
        if isinstance(item.encoder, TextEncoder) and not item.encoder.sharing.free:
            raise FailedPreconditionError(
                f"the encoder of {name!r} reads texts of one length at a time, which {strategy} cannot; "
                "set backend.trainer.strategy to ddp",
                reason="STRATEGY_UNSUITED",
                field="backend.trainer.strategy",
            )


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


_FORWARD_SYNC = "forward_sync_buffers" in inspect.signature(DistributedDataParallel.__init__).parameters
_BUFFERS_STAY: dict[str, Any] = {"forward_sync_buffers" if _FORWARD_SYNC else "broadcast_buffers": False}
"""`settle` sees to buffers, and ghost norms to theirs. (The option has a new name since torch 2.15.)"""


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
        """Runs the model and tells nobody."""
        return Alone.__call__(self, batch)

    def synced(self, last: bool, *, idle: bool) -> AbstractContextManager[object]:
        """Nothing to do but to tell norms."""
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
            for own, told in zip(noted, torch.split(mean, [len(tensor) for tensor in noted]), strict=True):
                own.copy_(told)

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


class Replicated(Alone):
    """A copy in every process, by torch's DistributedDataParallel. Rank 0's weights are everybody's at the start."""

    def __init__(self, model: ECD, world: World) -> None:
        super().__init__(model, world)
        device = next(model.parameters()).device
        self._synced = DistributedDataParallel(
            model,
            device_ids=[device] if device.type == "cuda" else None,
            **_BUFFERS_STAY,
            find_unused_parameters=any(item.trainable for item in model.pretrained().values()),
        )

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Runs the copy; its gradients are averaged with everybody's in the backward pass."""
        if not self.model.training:
            return super().__call__(batch)
        logits: dict[str, Tensor] = self._synced(batch)
        return logits

    def synced(self, last: bool, *, idle: bool) -> AbstractContextManager[object]:
        """Gradients stay here until the last."""
        super().synced(last, idle=idle)
        return nullcontext() if last else self._synced.no_sync()


class Sharded(Alone):
    """A part of every parameter in every process, by torch's FSDP2 (`fully_shard`), block by block of an encoder.

    Rank 0's weights are everybody's at the start, but for deferred encoders, of which every process reads its part.
    Parameters are put together for the moment in which their block runs. The learned state's tensors are DTensors.
    """

    in_parts = saves_in_parts = True

    def __init__(self, model: ECD, world: World, sharing: Sharing) -> None:
        super().__init__(model, world)
        state = model.learned_state()
        names = [key for key, tensor in state.items() if not tensor.is_meta]
        if len(set(world.all_gather_object(fingerprint({"real": names})))) > 1:
            raise RuntimeError("one process could not read its part of an encoder as the others do")
        world.broadcast(state[name] for name in names)
        device = state[names[0]].device
        mesh = init_device_mesh(device.type, (world.size,))
        offloads = sharing.offload and device.type == "cuda"
        offload = CPUOffloadPolicy() if offloads else OffloadPolicy()
        half = MixedPrecisionPolicy(torch.bfloat16, torch.float32)
        for item in model.pretrained().values():
            for block in repeated_blocks(item.encoder):
                policy = half if sharing.half and item.trainable else MixedPrecisionPolicy()
                fully_shard(block, mesh=mesh, mp_policy=policy, offload_policy=offload)
        self._in_passes = sharing.in_passes
        self._sharded = fully_shard(model, mesh=mesh, offload_policy=offload)
        for item in model.pretrained().values():
            item.read(torch.device("cpu") if offloads else device)

    def probe(self, batch: Batch) -> dict[str, Tensor]:
        """Runs the model, all processes at once, and takes its parts apart again, as optimizers want them."""
        logits = super().probe(batch)
        self._sharded.reshard()
        return logits

    def synced(self, last: bool, *, idle: bool) -> AbstractContextManager[object]:
        """Gradients stay here until the last, whole; but fewer processes than asked for have no memory to spare."""
        self._sharded.set_requires_gradient_sync(last or self._in_passes)
        return super().synced(last, idle=idle)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Copies parts in place."""
        with torch.no_grad():
            for key, tensor in self.model.learned_state().items():
                _part(tensor).copy_(_part(state[key]))

    def allocator(self) -> Allocator:
        """Memory for this process's part."""
        own = self.snapshot()
        return lambda name, *_: torch.empty_like(own[name])

    def wholes(self, state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
        """Asks everybody for their parts."""
        device = next(self.model.parameters()).device
        for key, tensor in state.items():
            yield key, _whole(tensor, device)


def _part(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _whole(tensor: Tensor, device: torch.device) -> Tensor:
    if not isinstance(tensor, DTensor):
        return tensor
    placed = tensor.to(device)
    assert isinstance(placed, DTensor)
    return placed.full_tensor().cpu()


def _noted(model: ECD) -> list[Tensor]:
    """Running means and variances of batch norms in encoders that train. Ghost norms see to theirs at every step."""
    encoders = [item.encoder for item in model.pretrained().values() if item.trainable]
    norms = [module for encoder in encoders for module in encoder.modules() if isinstance(module, _BatchNorm)]
    return [value for norm in norms for value in (norm.running_mean, norm.running_var) if value is not None]
