"""What the loop reports while it runs, and to whom."""

from dataclasses import dataclass, field
from typing import Protocol

from headstart_server.core.reasons import Notice

APPROXIMATE = Notice.TEST_METRICS_APPROXIMATE
"""The reason of a warning: some test rows are not measured as Predict answers them."""
Metrics = dict[str, float]
"""Values by `output.metric`, and `loss` for the total."""
WorkerReport = dict[str, int | float]
"""One process's part of an epoch: `rows`, `rows_per_second`, `data_wait_seconds`, `load_seconds`, `image_workers`."""


@dataclass(frozen=True)
class StepReport:
    """Progress within an epoch (epochs count from 1, steps are optimizer steps)."""

    epoch: int
    step: int
    total_steps: int
    loss: float
    learning_rate: float
    rows_per_second: float
    eta_seconds: float


@dataclass(frozen=True)
class EpochReport:
    """An ended epoch, or one of several evaluations in it."""

    epoch: int
    step: int
    train: Metrics
    validation: Metrics
    test: Metrics = field(default_factory=dict)
    train_seconds: float = 0.0
    evaluate_seconds: float = 0.0
    best: bool = False
    learning_rate: float = 0.0
    rows_per_second: float = 0.0
    data_wait_seconds: float = 0.0
    """Part of `train_seconds` in which the loop waited for its data."""
    compute_seconds: float = 0.0
    load_seconds: float = 0.0
    """For how long, in sum, processes loaded its images."""
    workers: list[WorkerReport] = field(default_factory=list)
    """By rank; empty where one process trains."""
    evaluation: int = 0
    """Of the run, from 1; 0 in reports of earlier versions, which evaluated once per epoch."""
    epochs: float = 0.0
    """Passes over the training rows so far."""
    validation_metric: str = ""
    """That of `validation` which chooses the best; empty in reports of earlier versions."""


@dataclass(frozen=True)
class PastEpoch:
    """An evaluation before a resumption, of which nobody knows here whether it was reported."""

    report: EpochReport


@dataclass(frozen=True)
class JobWarning:
    """Something to know that does not stop the run."""

    reason: str
    """In capitals, for programs."""
    message: str
    """For people."""


TrainingEvent = StepReport | EpochReport | PastEpoch | JobWarning


class Reporter(Protocol):
    """Follows a run."""

    def report(self, event: TrainingEvent) -> None:
        """Steps a few times a second, each evaluation once."""

    def check(self) -> None:
        """Raises CancelledError or PausedError when the run is to stop. Called after every step."""

    def stopping(self) -> bool:
        """Whether the run is to stop at its next checkpoint, which then is made as soon as it can be."""
