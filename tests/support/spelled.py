"""Small trainings of specs in any spelling, and what they did: rates, rows, losses, evaluations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from headstart_server.core.layout import Layout
from headstart_server.engines.events import JobEvent
from headstart_server.engines.fitting import Fitting
from headstart_server.engines.job_context import JobContext
from headstart_server.engines.listener import Silent
from headstart_server.engines.preparing import prepare_job
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.model.ecd import Batch
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.parse import parse_yaml
from headstart_server.storage.storage import Storage
from headstart_server.training.feed import Feed, Targets
from headstart_server.training.reports import EpochReport
from headstart_server.training.stepping import Stepper
from torch import Tensor

from tests.support.tables import sources_of

TRAINING_ROWS = 80
POSITIVE = 16
"""Of the training rows."""


@dataclass
class Training(Silent):
    """What one training did."""

    notes: list[str] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    """By step."""
    batches: list[list[int]] = field(default_factory=list)
    """Row numbers by pass."""
    reports: list[EpochReport] = field(default_factory=list)
    resolved_spec: TrainSpec | None = None

    def report(self, event: JobEvent) -> None:
        if isinstance(event, EpochReport):
            self.reports.append(event)

    @property
    def losses(self) -> list[float]:
        """Validation losses."""
        return [report.validation["loss"] for report in self.reports]

    @property
    def evaluations(self) -> list[tuple[int, int]]:
        """(epoch, step) of each."""
        return [(report.epoch, report.step) for report in self.reports]

    @property
    def rows(self) -> list[int]:
        """Row numbers of the first epoch, ascending."""
        first = sum(report.epoch == 1 for report in self.reports) and self.reports[0]
        assert first
        steps = max(report.step for report in self.reports if report.epoch == 1)
        share = len(self.batches) * steps // len(self.rates)
        return sorted(row for batch in self.batches[:share] for row in batch)

    def same(self, other: Training) -> bool:
        """Whether both did the same, bit by bit."""
        mine = (self.rates, self.batches, self.losses, self.evaluations)
        return mine == (other.rates, other.batches, other.losses, other.evaluations)


def columns() -> dict[str, list[Any]]:
    """80 training, 20 validation and 20 test rows, a fifth of them positive in each; rows 0 to 15 in training."""
    generator = np.random.default_rng(3)
    parts = ["train"] * TRAINING_ROWS + ["validation"] * 20 + ["test"] * 20
    positive = np.array([*(row < POSITIVE for row in range(TRAINING_ROWS)), *(row % 5 == 0 for row in range(40))])
    x = generator.normal(size=120) + 0.8 * positive
    return {
        "x": x.tolist(),
        "y": (generator.normal(size=120) - 0.5 * positive).tolist(),
        "label": ["spam" if label else "ham" for label in positive],
        "part": parts,
    }


def spec_of(trainer: dict[str, Any], preprocessing: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """A spec over these columns."""
    return {
        "input_features": [{"name": name, "type": "number"} for name in ("x", "y")],
        "output_features": [{"name": "label", "type": "binary"}],
        "preprocessing": {"split": {"type": "fixed", "column": "part"}, **preprocessing},
        "trainer": trainer,
        **sections,
    }


def trained(folder: Path, values: dict[str, Any]) -> Training:
    """Trains a spec as the local engine does, but publishes nothing."""
    spec, done = parse_yaml(json.dumps(values)), Training()
    runtime = _runtime(folder)
    with (
        patch("headstart_server.training.loop.Stepper", _recording_steps(done)),
        patch.object(Feed, "stream", _recording_rows(done, Feed.stream)),
    ):
        prepared = prepare_job(JobContext("job", "", spec, sources_of(**columns())), runtime, done)
        Fitting(prepared, {}, runtime, done).run()
    done.notes, done.resolved_spec = spec.notes, prepared.plan.resolution.spec()
    return done


def _runtime(folder: Path) -> RuntimeContext:
    from headstart_server.encoders.sources import ModelSources

    return RuntimeContext.at(Storage(Layout(folder)), ModelSources(), use_gpu=False)


def _recording_steps(done: Training) -> type[Stepper]:
    class Recording(Stepper):
        def step(self, step: int, scale: float = 1.0) -> float:
            done.rates.append(super().step(step, scale))
            return done.rates[-1]

    return Recording


def _recording_rows(done: Training, stream: Any) -> Any:
    def recording(
        feed: Feed, batches: Iterable[Tensor], epoch: int | None = None
    ) -> Iterator[tuple[Tensor, Batch, Targets]]:
        for rows, batch, targets in stream(feed, batches, epoch):
            if epoch is not None:
                done.batches.append(rows.tolist())
            yield rows, batch, targets

    return recording
