"""What the processes of a world have to agree on at every step: the loss of all rows, and whether to go on."""

import torch
from torch import Tensor

from headstart_server.core.errors import CancelledError
from headstart_server.model.world import World
from headstart_server.training.reports import Reporter

_CUDA_STEPS = 8
"""Steps between two looks at the flag on a GPU: reading it waits until the GPU has caught up."""


class StepSync:
    """Rank 0 learns of a cancellation; all leave at the same step, so that none waits for the others for ever."""

    def __init__(self, world: World, reporter: Reporter) -> None:
        self._world, self._reporter = world, reporter
        self._cancelled: CancelledError | None = None
        self._looked = 0

    def after(self, loss: Tensor) -> Tensor:
        """The sum of everybody's parts of a loss; raises CancelledError in every process once rank 0 is to stop."""
        if self._world.size == 1:
            self._reporter.check()
            return loss
        self._listen()
        # one exchange for both: the flag costs no message of its own
        parts = torch.stack([loss.float(), loss.new_tensor(self._cancelled is not None, dtype=torch.float32)])
        total, cancelled = self._world.all_reduce_sum(parts).unbind()
        self._looked += 1
        # every process makes the same calls, so all look at the same step; rank 0's flag stays set once it is, so that
        # looking seldom misses nothing
        if loss.device.type == "cpu" or self._looked % _CUDA_STEPS == 0:
            self._leave_if(cancelled)
        return total

    def check(self) -> None:
        """Raises CancelledError in every process once rank 0 is to stop."""
        # on the CPU, where the flag is read at once whatever device trains
        self.after(torch.zeros(()))

    def _listen(self) -> None:
        try:
            self._reporter.check()
        except CancelledError as error:
            # kept, not raised: rank 0 leaves when the others learn of it, from the sum
            self._cancelled = error

    def _leave_if(self, cancelled: Tensor) -> None:
        if float(cancelled) > 0:
            raise self._cancelled or CancelledError("the job was cancelled")
