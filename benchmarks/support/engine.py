"""The product's engine in this process: the same code that a worker runs, without the server around it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from headstart_server.core.layout import Layout
from headstart_server.core.names import new_id
from headstart_server.data.tables import Sources, table_of_arrow
from headstart_server.embedding_store.fill import FillProgress
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines.job_context import JobContext
from headstart_server.engines.listener import RowCounts
from headstart_server.engines.local import LocalEngine
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.planning.resolution import ResolvedValue
from headstart_server.spec.model import TrainSpec
from headstart_server.storage.storage import Storage
from headstart_server.training.reports import EpochReport, StepReport

from benchmarks.support.corpus import Columns


class Recorder:
    """Listens to one training and keeps its epochs."""

    def __init__(self) -> None:
        self.epochs: list[EpochReport] = []

    def state(self, state: str) -> None:
        """Not of interest."""

    def resolved(self, spec: TrainSpec, values: Sequence[ResolvedValue], rows: RowCounts) -> None:
        """Not of interest."""

    def encode(self, feature: str, progress: FillProgress, space: str) -> None:
        """Not of interest."""

    def model(self, identifier: str, report: EpochReport) -> None:
        """Not of interest."""

    def step(self, report: StepReport) -> None:
        """Not of interest."""

    def epoch(self, report: EpochReport) -> None:
        """Keeps it."""
        self.epochs.append(report)

    def past(self, report: EpochReport) -> None:
        """Not of interest."""

    def warning(self, reason: str, message: str) -> None:
        """Not of interest."""

    def check(self) -> None:
        """Never cancelled."""


class Engine:
    """Trains over one state folder, again and again."""

    def __init__(self, folder: Path, sources: ModelSources | None = None) -> None:
        self.runtime = RuntimeContext.at(Storage(Layout(folder)), sources or ModelSources())

    def train(self, spec: dict[str, Any], train: Columns, validation: Columns) -> list[EpochReport]:
        """The epochs of one training, timed by the loop itself."""
        tables = [table_of_arrow(pa.table(dict(part)), "dataset") for part in (train, validation)]
        recorder = Recorder()
        sources = Sources(tuple(tables), ("dataset", "validation_dataset"))
        job = JobContext(new_id(), "benchmark", TrainSpec.model_validate(spec), sources)
        LocalEngine(job, self.runtime, recorder).run()
        return recorder.epochs
