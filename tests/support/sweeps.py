"""Sweeps of a small spec, as a job makes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headstart_server.core.layout import Layout
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines.events import JobEvent
from headstart_server.engines.job_context import JobContext
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.engines.sweep import Sweep
from headstart_server.engines.trials import TrialReport
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.parse import parse_yaml
from headstart_server.storage.storage import Storage

from tests.support.spelled import Training, columns, spec_of
from tests.support.tables import sources_of


class Followed(Training):
    """Takes note of the trials."""

    def __init__(self) -> None:
        super().__init__()
        self.trials: list[TrialReport] = []

    def report(self, event: JobEvent) -> None:
        super().report(event)
        if isinstance(event, TrialReport):
            self.trials.append(event)


def swept(
    folder: Path,
    sweep: dict[str, Any],
    done: Followed | None = None,
    repeats: int = 1,
    shared: Path | None = None,
    **trainer: Any,
) -> tuple[TrainSpec, Followed]:
    """The spec that a sweep finds best, and what it told; `shared` is a storage that machines share."""
    done, values = done or Followed(), spec_of(trainer, {}, sweep=sweep)
    runtime = RuntimeContext.at(Storage(Layout(folder), str(shared or "")), ModelSources(), use_gpu=False)
    rows = {name: cells * repeats for name, cells in columns().items()}
    job = JobContext("job", "", parse_yaml(json.dumps(values)), sources_of(**rows))
    return Sweep(job, runtime, done).best(), done
