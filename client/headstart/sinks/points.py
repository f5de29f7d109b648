"""What of an event is a number or a parameter, under the names that all sinks share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from headstart.v1.training_pb2 import EncodeProgress, EpochMetrics, ResolvedValue, SpecResolved, StepProgress
from headstart.values.plain import plain

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Point:
    """One number at one position.

    Attributes:
        group: what is counted in `position`: `train` (optimizer steps), `epoch` (evaluations, which are the epochs
            unless there are several in one), `encode/FEATURE` (rows seen), `best/SPLIT` (evaluations).
        name: what it is of: `loss`, `label.accuracy`.
        position: whole number; later points of the same key have a larger one.
        value: the number, which may be NaN or infinite.
        split: `train`, `validation` or `test` for metrics of an evaluation, else empty.
    """

    group: str
    name: str
    position: int
    value: float
    split: str = ""

    @property
    def key(self) -> str:
        """Return the name of its series: `train/loss`, `epoch/validation/label.accuracy`, `epoch/train_seconds`."""
        return "/".join(part for part in (self.group, self.split, self.name) if part)


@dataclass(frozen=True)
class Parameter:
    """One value of the resolved spec: its path, the value as JSON knows it, where it came from, and why."""

    path: str
    value: Any
    origin: str
    reason: str = ""

    @property
    def text(self) -> str:
        """Return the value as text: strings as they are, everything else as JSON."""
        return self.value if isinstance(self.value, str) else json.dumps(self.value, ensure_ascii=False)

    @property
    def provenance(self) -> str:
        """Return the origin with its reason: `rule: 128 rows fill a batch`."""
        return f"{self.origin}: {self.reason}" if self.reason else self.origin


def step_points(step: StepProgress) -> list[Point]:
    """Return loss, learning rate and speed at an optimizer step."""
    values = {"loss": step.loss, "learning_rate": step.learning_rate, "rows_per_second": step.rows_per_second}
    return [Point("train", name, step.step, value) for name, value in values.items()]


def epoch_points(epoch: EpochMetrics) -> list[Point]:
    """Return the metrics of an evaluation by split, and what the epoch took."""
    position = epoch.evaluation or epoch.epoch
    metrics = [
        Point("epoch", name, position, value, split)
        for split in SPLITS
        for name, value in sorted(getattr(epoch, split).items())
    ]
    times = ("train_seconds", "evaluate_seconds", "data_wait_seconds", "compute_seconds", "load_seconds")
    others = ("epochs", "step", "learning_rate", "rows_per_second", *times)
    return [*metrics, *(Point("epoch", name, position, float(getattr(epoch, name))) for name in others)]


def encode_points(progress: EncodeProgress) -> list[Point]:
    """Return how far an embedding pass is, by rows seen."""
    group = f"{'encode_test_again' if progress.test_rows_again else 'encode'}/{progress.feature}"
    names = ("rows_found", "rows_repeated", "rows_encoded", "rows_shared", "rows_per_second", "data_wait_seconds")
    return [Point(group, name, progress.rows_seen, float(getattr(progress, name))) for name in names]


def best_points(epoch: EpochMetrics) -> list[Point]:
    """Return the metrics of the best evaluation: `best/validation/label.accuracy`."""
    found = [point for point in epoch_points(epoch) if point.split]
    return [Point(f"best/{point.split}", point.name, point.position, point.value) for point in found]


def parameters_of(values: Iterable[ResolvedValue]) -> Iterator[Parameter]:
    """Yield the values of a resolved spec."""
    for value in values:
        origin = ResolvedValue.Origin.Name(value.origin).removeprefix("ORIGIN_").lower()
        yield Parameter(value.path, plain(value.value), origin, value.reason)


def row_parameters(resolved: SpecResolved) -> Iterator[Parameter]:
    """Yield the number of rows of each split."""
    for split in SPLITS:
        yield Parameter(f"rows.{split}", getattr(resolved, f"{split}_rows"), "data")
