"""Measured values: the batch size that memory allows."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from headstart_server.core.memory import available_bytes
from headstart_server.model.ecd import ECD
from headstart_server.model.losses import LossFunction
from headstart_server.training.feed import Feed
from headstart_server.training.precision import Precision

_MEMORY_SHARE = 0.5
_PROBE_ROWS = 2


@dataclass(frozen=True)
class BatchFit:
    """A batch size and the memory that it takes."""

    size: int
    bytes_per_row: int


def fitting_batch_size(
    model: ECD, feed: Feed, losses: Mapping[str, LossFunction], precision: Precision, wanted: int
) -> BatchFit:
    """The largest halving of `wanted` whose activations take at most half of the free memory.

    Measured on the longest training rows by the bytes that autograd saves for the backward pass, so that nothing has
    to run out of memory to find out.
    """
    per_row = _saved_bytes(model, feed, losses, precision) // _PROBE_ROWS + 1
    free = torch.cuda.mem_get_info(feed.device)[0] if feed.device.type == "cuda" else available_bytes()
    size = wanted
    while size > 1 and size * per_row > _MEMORY_SHARE * free:
        size //= 2
    return BatchFit(size, per_row)


def _saved_bytes(model: ECD, feed: Feed, losses: Mapping[str, LossFunction], precision: Precision) -> int:
    storages: dict[int, int] = {}
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    state = {name: value.clone() for name, value in model.named_buffers()}
    model.train()
    _, batch, targets = next(feed.stream([feed.longest(_PROBE_ROWS)], epoch=1))
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), precision.autocast():
        logits = model(batch)
        kept = [loss(logits[name], targets[name]) for name, loss in losses.items()]
    del kept, logits
    for name, buffer in model.named_buffers():
        buffer.copy_(state[name])
    return sum(storages.values())
