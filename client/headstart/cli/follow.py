"""Follow a job on the command line to its end, or until Ctrl-C, which lets go of it and stops nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from headstart.cli.json_lines import print_json
from headstart.cli.live_display import LiveDisplay
from headstart.cli.plain_display import JsonDisplay, PlainDisplay
from headstart.cli.sinks import EXIT_CODE, telling_of_sinks
from headstart.cli.wording import duration, encoded, epoch_number, shown_metrics, splits, state_name
from headstart.programs.train import refuse_bad_end
from headstart.train_run import TrainRun
from headstart.v1.training_pb2 import TrainJob


def follow(run: TrainRun, as_json: bool) -> None:
    """Show a run's events, then the finished job.

    Raises:
        JobFailed, JobCancelled: it ended so.
        typer.Exit: a sink failed, which was told.
    """
    console = Console()
    with letting_go(run), telling_of_sinks(as_json):
        with _display(run.name, console, as_json) as display:
            for event in run:
                display.show(event)
        job = run.job()
    if as_json:
        print_json(job)
    elif job.state == TrainJob.STATE_SUCCEEDED:
        console.print(summary(job), highlight=False, markup=False, soft_wrap=True)
    refuse_bad_end(job)
    if run.sink_failures:
        raise typer.Exit(EXIT_CODE)


def _display(name: str, console: Console, as_json: bool) -> LiveDisplay | PlainDisplay | JsonDisplay:
    if as_json:
        return JsonDisplay()
    return LiveDisplay(name, console) if console.is_terminal else PlainDisplay()


def leave(run: TrainRun, as_json: bool) -> None:
    """Let go of a run that has just begun, and say how to find it again."""
    run.close()
    if as_json:
        print_json(run.job())
    else:
        print(f"{run.name} is on its way; `headstart watch {run.name}` follows it")


@contextmanager
def letting_go(run: TrainRun) -> Iterator[None]:
    """On Ctrl-C say how to go on, and end with 130."""
    try:
        yield
    except KeyboardInterrupt:
        run.close()
        print(
            f"\ndetached: {run.name} goes on\n"
            f"  headstart watch {run.name} --after {run.last_sequence}\n"
            f"  headstart jobs cancel {run.name}",
            file=sys.stderr,
        )
        raise typer.Exit(130) from None


def summary(job: TrainJob) -> str:
    """Return what came of a job and what to do next."""
    seconds = (job.end_time.ToNanoseconds() - job.create_time.ToNanoseconds()) / 1e9
    lines = [f"{job.name} {state_name(job.state)} in {duration(max(seconds, 0.0))}"]
    if job.HasField("encode_progress"):
        lines.append(f"  rows: {encoded(job.encode_progress)}")
    if job.HasField("best_epoch"):
        best = job.best_epoch
        chosen_by = f" by {best.validation_metric}" if best.validation_metric else ""
        lines.append(f"  best epoch{chosen_by}: {epoch_number(best)} (train / validation / test)")
        lines += [f"    {metric}: {splits(best, metric)}" for metric in shown_metrics([best])]
    lines.append(f"  model: {job.model}")
    lines.append(f"next: headstart predict {job.model} --data FILE --output predictions.csv")
    return "\n".join(lines)
