"""What every sink does with a job's events: numbers, parameters and texts, each once however often it is told."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from headstart.errors import InvalidArgument
from headstart.sinks.points import (
    Parameter,
    Point,
    best_points,
    encode_points,
    epoch_points,
    parameters_of,
    row_parameters,
    step_points,
)
from headstart.v1.training_pb2 import EpochMetrics, StateChange, TrainJob, TrainJobEvent

TERMINAL = frozenset({TrainJob.STATE_SUCCEEDED, TrainJob.STATE_FAILED, TrainJob.STATE_CANCELLED})


def required(module: str, extra: str) -> Any:
    """Import a package that an extra brings.

    Raises:
        InvalidArgument: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        message = f"{module.partition('.')[0]} is not installed: pip install 'headstart[{extra}]' ({error})"
        raise InvalidArgument(message, reason="SINK_NOT_INSTALLED") from None


def job_id(job: TrainJob) -> str:
    """Return the id in a job's name."""
    return job.name.rpartition("/")[2]


def seconds_of(event: TrainJobEvent) -> float:
    """Return when an event was stored, in seconds of the Unix epoch."""
    return event.time.seconds + event.time.nanos / 1e9


class Sink(ABC):
    """Somewhere that the events of one job are written to.

    Methods are called one at a time, by any thread; whatever they raise ends the sink, never the following of the job.
    Parameters are written when training begins (or the job ends before), with values that were measured meanwhile, for
    sinks that cannot change a parameter. A number whose position is not beyond the last one of its key is not written.
    """

    title: ClassVar[str]
    """What people call it."""

    @property
    @abstractmethod
    def option(self) -> str:
        """Return the options of `headstart watch` that write to the same place."""

    def check(self) -> None:  # noqa: B027  (what cannot be checked is not)
        """Raise where nothing can be written; called before a job is created."""

    @abstractmethod
    def open(self, job: TrainJob) -> None:
        """Begin the run of a job, or find the one that an earlier following began."""

    def last_position(self, key: str) -> int:
        """Return the position of the last number that the run has of a key already, -1 where it has none."""
        return -1

    def has_parameters(self) -> bool:
        """Tell whether the run has a resolved spec already; what events resolve is written all the same."""
        return False

    @abstractmethod
    def write(self, points: Sequence[Point], event: TrainJobEvent) -> None:
        """Write the numbers of an event."""

    @abstractmethod
    def write_parameters(self, parameters: Sequence[Parameter], event: TrainJobEvent) -> None:
        """Write the resolved spec."""

    @abstractmethod
    def write_text(self, tag: str, text: str, event: TrainJobEvent) -> None:
        """Write the `state`, the `model`, the `error`, or a warning, `warning/REASON`."""

    @abstractmethod
    def write_best(self, points: Sequence[Point], event: TrainJobEvent) -> None:
        """Write the metrics of the best evaluation; called once."""

    @abstractmethod
    def end(self, state: TrainJob.State, event: TrainJobEvent) -> None:
        """Note a terminal state."""

    @abstractmethod
    def close(self) -> None:
        """Write what waits. The job has ended, or is no longer followed."""

    def abandon(self) -> None:  # noqa: B027  (most hold nothing)
        """Let go of what is held, after a method raised. Raises nothing."""

    def begin(self, job: TrainJob) -> None:
        """Prepare for the events of a job."""
        self._last: dict[str, int] = {}
        self._best: EpochMetrics | None = None
        self.open(job)
        self._parameters = [] if self.has_parameters() else list(parameters_of(job.resolved_values))

    def take(self, event: TrainJobEvent) -> None:
        """Write what an event holds."""
        match event.WhichOneof("event"):
            case "state_change":
                self._take_state(event.state_change, event)
            case "spec_resolved":
                resolved = event.spec_resolved
                self._parameters = [*parameters_of(resolved.values), *row_parameters(resolved)]
            case "encode_progress":
                self._write(encode_points(event.encode_progress), event)
            case "step_progress":
                self._settle_parameters(event)
                self._write(step_points(event.step_progress), event)
            case "epoch_finished":
                self._settle_parameters(event)
                if event.epoch_finished.best:
                    self._best = event.epoch_finished
                self._write(epoch_points(event.epoch_finished), event)
            case "warning":
                self.write_text(f"warning/{event.warning.reason}", event.warning.message, event)
            case "model_published":
                self.write_text("model", event.model_published.model, event)
                self._best = event.model_published.best_epoch
                self._settle_best(event)

    def _take_state(self, change: StateChange, event: TrainJobEvent) -> None:
        state = TrainJob.State.Name(change.state).removeprefix("STATE_").lower()
        self.write_text("state", state, event)
        if change.state not in TERMINAL:
            return
        self._settle_parameters(event)
        self._settle_best(event)
        if change.HasField("error"):
            self.write_text("error", f"{change.error.reason}: {change.error.message}", event)
        self.end(change.state, event)

    def _write(self, points: Sequence[Point], event: TrainJobEvent) -> None:
        fresh = [point for point in points if self._is_fresh(point)]
        if fresh:
            self.write(fresh, event)

    def _is_fresh(self, point: Point) -> bool:
        """Tell whether a number is beyond what the run has: epochs that are trained again are told again."""
        if point.key not in self._last:
            self._last[point.key] = self.last_position(point.key)
        if point.position <= self._last[point.key]:
            return False
        self._last[point.key] = point.position
        return True

    def _settle_parameters(self, event: TrainJobEvent) -> None:
        if self._parameters:
            self.write_parameters(self._parameters, event)
        self._parameters = []

    def _settle_best(self, event: TrainJobEvent) -> None:
        if self._best is not None:
            self.write_best(best_points(self._best), event)
        self._best = None
