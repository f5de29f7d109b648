"""The replica check: all processes hold the same model, or the job says who does not."""

from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b

import torch
from torch import Tensor

from headstart_server.core.errors import TrainingFailedError
from headstart_server.core.reasons import Reason
from headstart_server.model.world import World

_DIGEST_BYTES = 16


def require_same(world: World, state: Iterable[tuple[str, Tensor]], when: str) -> None:
    """Raises TrainingFailedError, in every process, naming the ranks whose state is not that of most.

    `state` is whole and on the CPU; of two processes, rank 0 is taken at its word. Where every process holds a part of
    each parameter (FSDP), the whole is the same everywhere by the way it is put together: what is compared then is what
    no process shares, buffers and the order and names of all.
    """
    if world.size == 1:
        return
    digests = world.digests(_digest(state))
    counts = Counter(digests)
    usual = max(digests, key=lambda digest: (counts[digest], digest == digests[0]))
    others = [rank for rank, digest in enumerate(digests) if digest != usual]
    if others:
        named = f"rank{'s' if len(others) > 1 else ''} {', '.join(map(str, others))}"
        raise TrainingFailedError(
            f"{when}, {named} of {world.size} workers held other parameters than the rest; a result that depends on "
            "who is asked is not published. Check the memory and the software of those machines, and train again",
            reason=Reason.WORKERS_DISAGREE,
            field="backend",
        )


def _digest(state: Iterable[tuple[str, Tensor]]) -> bytes:
    found = blake2b(digest_size=_DIGEST_BYTES)
    for key, tensor in state:
        found.update(key.encode())
        # `view` takes no tensor without dimensions for another type, and norms count their batches in such
        found.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.digest()
