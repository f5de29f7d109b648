"""A run of Weights & Biases: history by the job's event numbers, the spec as config, the best metrics as summary."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from headstart.errors import InvalidArgument
from headstart.sinks.points import Parameter, Point
from headstart.sinks.sink import Sink, job_id, required, seconds_of
from headstart.v1.training_pb2 import TrainJob, TrainJobEvent

LONGEST_TAG = 64
AXES = {"train": "train/step", "epoch": "epoch"}


class WandB(Sink):
    """Writes to the run whose id is the job's.

    The step of W&B is the event's number, so that a run that W&B resumes takes each event once; charts have optimizer
    steps, epochs or rows as their axis. WANDB_MODE=offline, WANDB_DIR and W&B's other variables hold. Offline, a job
    that is watched again makes another folder with the same id: sync one of them.

    Args:
        project: its name.
        silent: leave out what W&B prints about the run.

    Raises:
        InvalidArgument: wandb is not installed.
    """

    title = "W&B"

    def __init__(self, project: str, *, silent: bool = False) -> None:
        self._wandb: Any = required("wandb", "wandb")
        self.project = project
        self._silent = silent

    @property
    def option(self) -> str:
        """Return the option that names the project."""
        return f"--wandb {shlex.quote(self.project)}"

    def check(self) -> None:
        """Log in, where runs are not kept offline."""
        if self._wandb.setup().settings.mode == "online" and not self._wandb.login():
            raise InvalidArgument("W&B has no API key: `wandb login`, or WANDB_MODE=offline", reason="WANDB_NO_KEY")

    def open(self, job: TrainJob) -> None:
        """Begin the run, or resume it; the program's own output and use of the machine are no part of it."""
        self._run: Any = self._wandb.init(
            project=self.project,
            id=job_id(job),
            name=job.display_name or job_id(job),
            resume="allow",
            reinit="create_new",
            settings=self._wandb.Settings(console="off", x_disable_stats=True, silent=self._silent),
        )
        self._next = self._run.step
        self._exit_code: int | None = None
        self._defined: set[str] = set()
        self._run.config.update({"job": job.name}, allow_val_change=True)

    def write(self, points: Sequence[Point], event: TrainJobEvent) -> None:
        """Log the numbers of an event at its time, unless the resumed run has them."""
        if event.sequence < self._next:
            return
        row: dict[str, Any] = {"_timestamp": seconds_of(event)}
        for point in points:
            axis, key = _key(AXES.get(point.group, f"{point.group}/rows_seen")), _key(point.key)
            self._define(key, axis)
            row |= {key: point.value, axis: point.position}
        self._run.log(row, step=event.sequence, commit=True)

    def _define(self, key: str, axis: str) -> None:
        """Give a chart its axis."""
        if axis not in self._defined:
            self._run.define_metric(axis, hidden=True)
        if key not in self._defined:
            self._run.define_metric(key, step_metric=axis)
        self._defined |= {axis, key}

    def write_best(self, points: Sequence[Point], event: TrainJobEvent) -> None:
        """Write the best evaluation's metrics into the summary."""
        self._run.summary.update({_key(point.key): point.value for point in points})

    def write_parameters(self, parameters: Sequence[Parameter], event: TrainJobEvent) -> None:
        """Write the spec and its origins into the config."""
        spec: dict[str, Any] = {}
        origin: dict[str, Any] = {}
        for item in parameters:
            _put(spec, item.path, item.value)
            _put(origin, item.path, item.provenance)
        self._run.config.update({"spec": spec, "origin": origin}, allow_val_change=True)

    def write_text(self, tag: str, text: str, event: TrainJobEvent) -> None:
        """Write a text into the summary, and the model as a tag, too."""
        self._run.summary[f"{tag}/{event.sequence}" if "/" in tag else tag] = text
        if tag == "model" and len(text) <= LONGEST_TAG and text not in (self._run.tags or ()):
            self._run.tags = (*(self._run.tags or ()), text)

    def end(self, state: TrainJob.State, event: TrainJobEvent) -> None:
        """Note the exit code: W&B knows finished and failed, which it calls a cancelled job, too."""
        self._exit_code = 0 if state == TrainJob.STATE_SUCCEEDED else 1

    def close(self) -> None:
        """Finish the run; one whose job goes on unfollowed is preempted, neither finished nor failed."""
        if self._exit_code is None:
            self._run.mark_preempting()
        self._run.finish(exit_code=1 if self._exit_code is None else self._exit_code)


def _key(name: str) -> str:
    """Return a name without stars, which W&B takes for patterns."""
    return name.replace("*", "_")


def _put(tree: dict[str, Any], path: str, value: Any) -> None:
    """Put a value into nested dicts, for W&B wants no dots in keys; below a value that is no dict they stay."""
    first, dot, rest = path.partition(".")
    if dot and isinstance(tree.setdefault(first, {}), dict):
        _put(tree[first], rest, value)
    else:
        tree[path] = value
