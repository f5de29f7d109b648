"""The product's engine in this process: the same code that a worker runs, without the server around it."""

from pathlib import Path
from typing import Any

import pyarrow as pa
from headstart_server.core.layout import Layout
from headstart_server.core.names import new_id
from headstart_server.data.tables import Sources, table_of_arrow
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines.events import JobEvent
from headstart_server.engines.job_context import JobContext
from headstart_server.engines.listener import Silent
from headstart_server.engines.local import LocalEngine
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.spec.model import TrainSpec
from headstart_server.storage.storage import Storage
from headstart_server.training.reports import EpochReport

from benchmarks.support.corpus import Columns


class Recorder(Silent):
    """Listens to one training and keeps its epochs."""

    def __init__(self) -> None:
        self.epochs: list[EpochReport] = []

    def report(self, event: JobEvent) -> None:
        """Keeps an epoch; nothing else is of interest."""
        if isinstance(event, EpochReport):
            self.epochs.append(event)


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
