"""A trained model over photos, texts and numbers, and the files that its predictions are made from."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
from headstart_server.core.layout import Layout
from headstart_server.core.names import new_id
from headstart_server.data.images.files import FolderFiles
from headstart_server.data.tables import Sources, Table, table_of_arrow
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines.job_context import JobContext
from headstart_server.engines.listener import Silent
from headstart_server.engines.local import LocalEngine
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.export.artifacts import ArtifactRegistry
from headstart_server.export.exporter import Exporter
from headstart_server.model.registry import ModelRegistry
from headstart_server.serving.pool import ModelPool, TenantModels
from headstart_server.spec.parse import parse_values
from headstart_server.storage.folders import SharedFolders
from headstart_server.storage.storage import Storage

from tests.support.exports import Exports
from tests.support.images import encoded, picture

SIZES = [(40, 30), (64, 48), (31, 57), (40, 30), (90, 20)]


def write_rows(folder: Path, count: int, seed: int = 0) -> Path:
    """A CSV file with photos of several sizes beside it, some of them missing."""
    (folder / "photos").mkdir(parents=True)
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["photo", "title", "price", "kind"])
        for row in range(count):
            width, height = SIZES[row % len(SIZES)]
            ending = ("PNG", "JPEG")[row % 2]
            path = f"photos/{row}.{ending.lower()}"
            (folder / path).write_bytes(encoded(picture(width, height, seed + row), ending))
            title = ["good film", "bad plot", "", "it was not great"][row % 4]
            writer.writerow(["" if row % 7 == 5 else path, title, "" if row == 3 else row, "ab"[row % 2]])
    return folder / "rows.csv"


def read_rows(path: Path) -> Table:
    """The table, its photos found beside it."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: [row[name] or None for row in rows] for name in rows[0]}
    table = table_of_arrow(pa.table(columns), "dataset")
    return Table(table.rows, table.field, FolderFiles((path.parent,)))


def trained_on_photos(root: Path, inputs: list[dict[str, Any]]) -> Exports:
    """Trains one epoch with the encoders of `root`/models."""
    layout = Layout(root / new_id())
    runtime = RuntimeContext.at(Storage(layout), ModelSources(root / "models"))
    spec = {
        "input_features": inputs,
        "output_features": [{"name": "kind", "type": "category"}],
        "combiner": {"num_fc_layers": 1, "output_size": 8},
        "trainer": {"epochs": 1, "batch_size": 8},
    }
    table = read_rows(write_rows(root / new_id(), 40))
    job = JobContext(new_id(), "photos", parse_values(spec), Sources((table,), ("dataset",)))
    identifier = LocalEngine(job, runtime, Silent()).run()
    models, artifacts = ModelRegistry(SharedFolders(layout.models)), ArtifactRegistry(SharedFolders(layout.artifacts))
    own = TenantModels(models, runtime.store)
    pool = ModelPool(lambda _: own, runtime.encoder_store, runtime.device, 1 << 30)
    return Exports(models, pool, artifacts, Exporter(artifacts, runtime.encoder_store), identifier)
