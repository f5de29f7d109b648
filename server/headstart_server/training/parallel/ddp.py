"""A copy of the model in every process: torch's DistributedDataParallel."""

import inspect
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from headstart_server.model.ecd import ECD, Batch
from headstart_server.model.world import World
from headstart_server.training.parallel.base import Alone

# under the old name, False also keeps buffers out of the exchange at the start; under the new one, rank 0's are
# everybody's then, as its parameters are
_FORWARD_SYNC = "forward_sync_buffers" in inspect.signature(DistributedDataParallel.__init__).parameters
_BUFFERS_STAY: dict[str, Any] = {"forward_sync_buffers" if _FORWARD_SYNC else "broadcast_buffers": False}
"""`settle` sees to buffers, and ghost norms to theirs. (The option has a new name since torch 2.13.)"""


class Replicated(Alone):
    """A copy in every process, by torch's DistributedDataParallel. Rank 0's weights are everybody's at the start."""

    def __init__(self, model: ECD, world: World) -> None:
        super().__init__(model, world)
        device = next(model.parameters()).device
        self._synced = DistributedDataParallel(
            model,
            device_ids=[device] if device.type == "cuda" else None,
            **_BUFFERS_STAY,
            # an encoder may have parameters that its embedding does not depend on, as a pooler's where tokens are
            # averaged; DDP raises in the next step where one gets no gradient, unless it is told to look
            find_unused_parameters=any(item.tuning.trains for item in model.pretrained().values()),
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
        # the forward pass has to be inside, too: in it DDP decides whether its backward pass exchanges gradients
        return nullcontext() if last else self._synced.no_sync()
