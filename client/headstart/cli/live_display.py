"""Draw a followed job on a terminal: encoding bar, training bar with the loss, table of epochs."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from headstart.cli.job_view import JobView
from headstart.cli.sparkline import sparkline
from headstart.cli.wording import (
    duration,
    encoded,
    epoch_number,
    shown_metrics,
    splits,
    state_name,
    trial_settings,
    trial_value,
    waits,
)
from headstart.v1.training_pb2 import EncodeProgress, EpochMetrics, StepProgress, TrainJobEvent, Trial

BAR_WIDTH = 28
SHOWN_EPOCHS = 15
SHOWN_TRIALS = 10
SMALLER_IS_BETTER = ("loss", "mean_squared_error", "mean_absolute_error", "root_mean_squared_error")


class LiveDisplay:
    """Redraws a few times a second, however many events arrive."""

    def __init__(self, name: str, console: Console) -> None:
        self._view = JobView(name)
        self._live = Live(console=console, get_renderable=lambda: drawing(self._view), refresh_per_second=8)

    def __enter__(self) -> LiveDisplay:
        """Start drawing."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Draw a last time and stop."""
        self._live.stop()

    def show(self, event: TrainJobEvent) -> None:
        """Take one event."""
        self._view.take(event)


def drawing(view: JobView) -> RenderableType:
    """Return the whole picture."""
    parts: list[RenderableType] = [Text(f"{view.name}  {state_name(view.state)}", style="bold")]
    if view.rows:
        parts.append(Text(f"  rows: {view.rows}", style="dim"))
    bars = Table.grid(padding=(0, 1))
    for progress in view.encode.values():
        _add_encoding(bars, progress)
    if view.step is not None:
        _add_training(bars, view.step)
    parts.append(bars)
    if len(view.losses) > 1:
        parts.append(Text(f"  loss {sparkline(view.losses)} {view.losses[-1]:.4f}"))
    if view.trials:
        parts.append(trial_table(list(view.trials.values())))
    if view.epochs:
        parts.append(epoch_table(view.epochs))
    parts += [Text(f"warning: {warning}", style="yellow") for warning in view.warnings]
    return Group(*parts)


def _add_encoding(bars: Table, progress: EncodeProgress) -> None:
    counts = f"{progress.rows_seen:,}/{progress.rows_total:,} rows: {encoded(progress)}"
    if waits(progress):
        counts += f", {duration(progress.data_wait_seconds)} waiting"
    bar = ProgressBar(total=max(progress.rows_total, 1), completed=progress.rows_seen, width=BAR_WIDTH)
    bars.add_row(f"  encode {progress.feature}", bar, counts, _speed(progress.rows_per_second, progress.eta_seconds))


def _add_training(bars: Table, step: StepProgress) -> None:
    counts = f"epoch {step.epoch}, step {step.step:,}/{step.total_steps:,}, lr {step.learning_rate:.2g}"
    bar = ProgressBar(total=max(step.total_steps, 1), completed=step.step, width=BAR_WIDTH)
    bars.add_row("  train", bar, counts, _speed(step.rows_per_second, step.eta_seconds))


def _speed(rows_per_second: float, eta_seconds: float) -> str:
    speed = f"{rows_per_second:,.0f} rows/s" if rows_per_second else ""
    return f"{speed}, {duration(eta_seconds)} left" if eta_seconds else speed


def trial_table(trials: list[Trial]) -> Table:
    """Return the best trials of a sweep as far as it has come, the best first."""
    smaller = trials[0].metric.rpartition(".")[2] in SMALLER_IS_BETTER
    known = [trial for trial in trials if trial.HasField("value")]
    ranked = sorted(known, key=lambda each: (-each.train_rows, each.value if smaller else -each.value, each.number))
    table = Table(title=f"{len(trials):,} trials by {trials[0].metric}", title_justify="left", title_style="dim")
    for column in ("trial", "value", "rows", "time", "one row", "settings"):
        table.add_column(column, justify="left" if column == "settings" else "right")
    for trial in ranked[:SHOWN_TRIALS]:
        one_row = f"{1e3 * (trial.head_seconds + trial.encoder_seconds):.3g} ms"
        cells = (f"{trial.train_rows:,}", duration(trial.seconds), one_row, trial_settings(trial))
        table.add_row(str(trial.number), trial_value(trial), *cells)
    return table


def epoch_table(epochs: list[EpochMetrics]) -> Table:
    """Return the last epochs with their metrics, the best marked."""
    metrics = shown_metrics(epochs)
    table = Table(title="train / validation / test", title_justify="left", title_style="dim")
    table.add_column("epoch", justify="right")
    for metric in metrics:
        table.add_column(metric, justify="right")
    table.add_column("time", justify="right")
    waiting = any(map(waits, epochs))
    if waiting:
        table.add_column("data wait", justify="right")
    best = max((index for index, epoch in enumerate(epochs) if epoch.best), default=-1)
    for index, epoch in list(enumerate(epochs))[-SHOWN_EPOCHS:]:
        cells = [splits(epoch, metric) for metric in metrics]
        cells.append(duration(epoch.train_seconds + epoch.evaluate_seconds))
        if waiting:
            cells.append(duration(epoch.data_wait_seconds))
        table.add_row(
            f"{epoch_number(epoch)}{' *' if index == best else ''}", *cells, style="green" if index == best else None
        )
    return table
