"""A part of the model in every process: torch's FSDP2."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor

from headstart_server.core.digests import fingerprint
from headstart_server.encoders.blocks import repeated_blocks
from headstart_server.model.ecd import ECD, Batch
from headstart_server.model.world import World
from headstart_server.training.checkpoint import Allocator
from headstart_server.training.parallel.base import Alone, Sharing


class Sharded(Alone):
    """A part of every parameter in every process, by torch's FSDP2 (`fully_shard`), block by block of an encoder.

    Rank 0's weights are everybody's at the start, but for deferred encoders, of which every process reads its part.
    Parameters are put together for the moment in which their block runs. The learned state's tensors are DTensors.
    """

    in_parts = saves_in_parts = True

    def __init__(self, model: ECD, world: World, sharing: Sharing) -> None:
        super().__init__(model, world)
        state = model.learned_state()
        # each process finds out by its own files whether it can defer an encoder: where one could not, the broadcasts
        # below would not be of the same tensors
        names = [key for key, tensor in state.items() if not tensor.is_meta]
        if len(set(world.all_gather_object(fingerprint({"real": names})))) > 1:
            raise RuntimeError("one process could not read its part of an encoder as the others do")
        world.broadcast(state[name] for name in names)
        device = state[names[0]].device
        mesh = init_device_mesh(device.type, (world.size,))
        offloads = sharing.offload and device.type == "cuda"
        offload = CPUOffloadPolicy() if offloads else OffloadPolicy()
        # blocks are gathered and compute in bf16, their gradients are summed up in float32
        half = MixedPrecisionPolicy(torch.bfloat16, torch.float32)
        for item in model.pretrained().values():
            for block in repeated_blocks(item.encoder):
                policy = half if sharing.half and item.tuning.trains else MixedPrecisionPolicy()
                fully_shard(block, mesh=mesh, mp_policy=policy, offload_policy=offload)
        self._in_passes = sharing.in_passes
        # after the blocks: the outer call takes what no inner one has taken
        self._sharded = fully_shard(model, mesh=mesh, offload_policy=offload)
        for item in model.pretrained().values():
            # only now that parameters are sharded, so that each process reads its part
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
        # DTensors, by which the reader knows what this process's part is
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
    # snapshots lie on the CPU, and the mesh exchanges on its own device
    placed = tensor.to(device)
    assert isinstance(placed, DTensor)
    return placed.full_tensor().cpu()
