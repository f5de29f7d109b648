"""What is known of a followed job, gathered from its events, whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from headstart.cli.wording import warning_text
from headstart.v1.training_pb2 import EncodeProgress, EpochMetrics, StepProgress, TrainJob, TrainJobEvent, Trial


@dataclass
class JobView:
    """The latest of everything, and the histories that are drawn."""

    name: str
    state: TrainJob.State = TrainJob.STATE_QUEUED
    encode: dict[str, EncodeProgress] = field(default_factory=dict)
    step: StepProgress | None = None
    losses: list[float] = field(default_factory=list)
    epochs: list[EpochMetrics] = field(default_factory=list)
    rows: str = ""
    warnings: list[str] = field(default_factory=list)
    trials: dict[int, Trial] = field(default_factory=dict)
    """Of a sweep, each by what it came to last."""

    def take(self, event: TrainJobEvent) -> None:
        """Note one event."""
        match event.WhichOneof("event"):
            case "state_change":
                self.state = event.state_change.state
            case "encode_progress":
                self.encode[event.encode_progress.feature] = event.encode_progress
            case "step_progress":
                self.step = event.step_progress
                self.losses.append(event.step_progress.loss)
            case "epoch_finished":
                self.epochs.append(event.epoch_finished)
            case "trial_finished":
                self.trials[event.trial_finished.trial.number] = event.trial_finished.trial
            case "spec_resolved":
                found = event.spec_resolved
                self.rows = (
                    f"{found.train_rows:,} train, {found.validation_rows:,} validation, {found.test_rows:,} test"
                )
            case "warning":
                self.warnings.append(warning_text(event.warning))
