"""Tell of a followed job in lines, for logs and pipes where nothing can be redrawn."""

from __future__ import annotations

from collections.abc import Callable

from headstart.cli.json_lines import print_json
from headstart.cli.wording import (
    duration,
    encoded,
    epoch_number,
    shown_metrics,
    spent,
    splits,
    state_name,
    trial_settings,
    trial_value,
    waits,
    warning_text,
)
from headstart.v1.training_pb2 import TrainJobEvent


class PlainDisplay:
    """One line per event that matters; progress within an encoding pass or an epoch is left out."""

    def __init__(self, tell: Callable[[str], object] = print) -> None:
        self._tell = tell

    def __enter__(self) -> PlainDisplay:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def show(self, event: TrainJobEvent) -> None:
        """Tell of one event."""
        line = _line(event)
        if line:
            self._tell(line)


class JsonDisplay:
    """Every event as one JSON line on stdout."""

    def __enter__(self) -> JsonDisplay:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def show(self, event: TrainJobEvent) -> None:
        """Print one event."""
        print_json(event)


def _line(event: TrainJobEvent) -> str:
    match event.WhichOneof("event"):
        case "state_change":
            return f"{event.job} {state_name(event.state_change.state)}"
        case "encode_progress" if event.encode_progress.rows_seen >= event.encode_progress.rows_total:
            progress = event.encode_progress
            seconds = progress.compute_seconds + progress.data_wait_seconds
            time = f" ({spent(seconds, progress)})" if waits(progress) else ""
            return f"encode {progress.feature}{time}: {encoded(progress)}"
        case "epoch_finished":
            epoch = event.epoch_finished
            metrics = ", ".join(f"{metric} {splits(epoch, metric)}" for metric in shown_metrics([epoch]))
            time = spent(epoch.train_seconds + epoch.evaluate_seconds, epoch)
            return f"epoch {epoch_number(epoch)} ({time}): {metrics}"
        case "trial_finished":
            trial, most = event.trial_finished.trial, event.trial_finished.trials
            what = f"trial {trial.number}/{most} ({duration(trial.seconds)}, {trial.train_rows:,} rows)"
            return f"{what}: {trial.metric} {trial_value(trial)}; {trial_settings(trial)}"
        case "warning":
            return f"warning: {warning_text(event.warning)}"
    return ""
