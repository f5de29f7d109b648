"""Measured values: the batch size that memory allows."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from headstart_server.core.memory import available_bytes
from headstart_server.model.losses import LossFunction
from headstart_server.training.feed import Feed
from headstart_server.training.parallel.base import Parallel
from headstart_server.training.precision import Precision

_MEMORY_SHARE = 0.5
_PROBE_ROWS = 2
_LEAST_BYTES, _WEIGHTS_SHARE, _GPU_SHARE = 32 << 20, 0.5, 8


@dataclass(frozen=True)
class BatchFit:
    """A batch size and the memory that it takes."""

    size: int
    bytes_per_row: int


def fitting_batch_size(
    parallel: Parallel, feed: Feed, losses: Mapping[str, LossFunction], precision: Precision, wanted: int
) -> BatchFit:
    """The largest halving of `wanted` whose activations take at most half of the free memory.

    Measured on the longest training rows by the bytes that autograd saves for the backward pass, so that nothing has
    to run out of memory to find out.
    """
    per_row = _saved_bytes(parallel, feed, losses, precision) // _PROBE_ROWS + 1
    free = torch.cuda.mem_get_info(feed.device)[0] if feed.device.type == "cuda" else available_bytes()
    size = wanted
    while size > 1 and size * per_row > _MEMORY_SHARE * free:
        size //= 2
    return BatchFit(size, per_row)


def pass_tokens(parallel: Parallel, feed: Feed, losses: Mapping[str, LossFunction], precision: Precision) -> int:
    """Tokens, with padding, whose activations take half as much memory as the weights do.

    Beside weights that stay as they are, there is little else. More at once is hardly faster on a CPU; on a GPU, which
    has more to do at once, as many as an eighth of its free memory takes.
    """
    rows = feed.longest(_PROBE_ROWS)
    tokens = len(rows) * int(feed.lengths()[rows].max())
    per_token = _saved_bytes(parallel, feed, losses, precision) // tokens + 1
    weights = sum(parameter.nbytes for parameter in parallel.model.parameters())
    kept = max(_LEAST_BYTES, int(weights * _WEIGHTS_SHARE))
    if feed.device.type == "cuda":
        kept = max(kept, torch.cuda.mem_get_info(feed.device)[0] // _GPU_SHARE)
    return max(1, kept // per_token)


def _saved_bytes(parallel: Parallel, feed: Feed, losses: Mapping[str, LossFunction], precision: Precision) -> int:
    model, storages = parallel.model, dict[int, int]()
    _, batch, targets = next(feed.stream([feed.longest(_PROBE_ROWS)], epoch=1))
    state = {name: value.clone() for name, value in model.named_buffers()}
    model.train()
    with _parameters_in_use(model) as parameters:

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if (storage.data_ptr(), storage.nbytes()) not in parameters:
                # by address, for several operations may save one storage
                storages[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), precision.autocast():
            logits = parallel.probe(batch)
            # held until the hooks are done: a graph that goes frees its storages, whose addresses others would get
            kept = [loss(logits[name], targets[name]) for name, loss in losses.items()]
    del kept, logits
    for name, buffer in model.named_buffers():
        # running statistics of norms, which have followed rows of no step
        buffer.copy_(state[name])
    return sum(storages.values())


@contextmanager
def _parameters_in_use(model: nn.Module) -> Iterator[set[tuple[int, int]]]:
    """(address, size) of all parameters that a forward pass inside has read: FSDP's are elsewhere at other times."""
    found: set[tuple[int, int]] = set()

    def note(module: nn.Module, _: object) -> None:
        for parameter in module.parameters(recurse=False):
            if not isinstance(parameter, DTensor):
                found.add((parameter.untyped_storage().data_ptr(), parameter.untyped_storage().nbytes()))

    handles = [module.register_forward_pre_hook(note) for module in model.modules()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
