"""What an epoch says while it runs: its running aggregate, and a few step reports a second."""

import math
import time
from collections.abc import Mapping

import torch
from torch import Tensor

from headstart_server.core.errors import TrainingFailedError
from headstart_server.core.reasons import Reason
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.model.world import World
from headstart_server.training.feed import Feed
from headstart_server.training.outputs import Outputs, measured
from headstart_server.training.reports import Metrics, Reporter, StepReport

_RUNNING_VALUES = 50_000_000
_UNCONDENSED_VALUES = 5_000_000


class Running:
    """The running aggregate of an epoch: mean loss, and metrics of what the model said while it learned."""

    def __init__(self, outputs: tuple[FittedFeature, ...], feed: Feed, world: World) -> None:
        self._outputs, self._world = outputs, world
        self._said = Outputs(outputs, feed, world)
        self._budget, self._uncondensed = _RUNNING_VALUES, 0
        self._losses: list[Tensor] = []
        self._rows: list[int] = []

    def add(self, rows: Tensor, logits: Mapping[str, Tensor]) -> None:
        """Takes note of one pass: all its rows, and what this process's model said of its own."""
        # metrics of a very long epoch are those of its first rows, its loss is that of all; values of all processes are
        # counted, so that all stop noting at the same pass, as gathering them needs
        if self._budget > 0:
            self._said.add(rows, {name: values.detach() for name, values in logits.items()})
            values = rows.shape[0] * sum(values.shape[1:].numel() for values in logits.values())
            self._budget -= values
            self._uncondensed += values
            if self._uncondensed > _UNCONDENSED_VALUES:  # seldom: a stored epoch takes milliseconds
                self._said.condense()
                self._uncondensed = 0

    def note(self, loss: Tensor, rows: int) -> None:
        """Takes note of one step: the mean loss of its rows."""
        self._losses.append(loss)
        self._rows.append(rows)

    def metrics(self, epoch: int) -> Metrics:
        """Metrics of the epoch; raises TrainingFailedError if its loss is not finite."""
        rows = torch.tensor(self._rows, dtype=torch.float32)
        metrics: Metrics = {"loss": float((torch.stack(self._losses).float().cpu() * rows).sum() / rows.sum())}
        require_finite(metrics["loss"], epoch)
        self._said.condense()
        answers, targets = self._said.everybody()
        if self._world.leads:
            metrics |= measured(self._outputs, answers, targets)
        everywhere: Metrics = self._world.broadcast_object(metrics)
        return everywhere


class Meter:
    """Reports steps a few times a second; raises TrainingFailedError for a loss that is not finite."""

    def __init__(self, reporter: Reporter, epoch: int, total_steps: int, rows_per_step: int, seconds: float) -> None:
        self._reporter, self._epoch, self._seconds = reporter, epoch, seconds
        self._total_steps, self._rows_per_step = total_steps, rows_per_step
        self._since = time.perf_counter()
        self._losses: list[Tensor] = []
        self._rows = 0

    def note(self, step: int, loss: Tensor, rate: float, rows: int) -> None:
        """Takes note of the step after which there have been `step`."""
        self._losses.append(loss)
        self._rows += rows
        now = time.perf_counter()
        if now - self._since < self._seconds:
            return
        speed = self._rows / (now - self._since)
        rows_left = (self._total_steps - step) * self._rows_per_step
        mean = float(torch.stack(self._losses).mean())
        require_finite(mean, self._epoch)
        self._reporter.report(
            StepReport(self._epoch, step, self._total_steps, mean, rate, speed, eta_seconds=rows_left / speed)
        )
        self._since, self._losses, self._rows = now, [], 0


def require_finite(loss: float, epoch: int) -> None:
    """Raises TrainingFailedError, with what to do, for a loss that is not finite."""
    if not math.isfinite(loss):
        raise TrainingFailedError(
            f"the training loss became {loss} in epoch {epoch}; lower trainer.learning_rate, set "
            "trainer.gradient_clipping.clipglobalnorm, or turn trainer.use_mixed_precision off",
            reason=Reason.NON_FINITE_LOSS,
            field="trainer.learning_rate",
        )
