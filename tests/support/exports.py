"""A small model on disk with everything that exporting it takes, without a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from headstart_server.core.layout import Layout
from headstart_server.core.names import new_id
from headstart_server.data.tables import Sources, table_of_arrow
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines.job_context import JobContext
from headstart_server.engines.listener import Silent
from headstart_server.engines.local import LocalEngine
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.export.artifacts import Artifact, ArtifactRegistry
from headstart_server.export.exporter import Exporter, Say
from headstart_server.model.registry import ModelRegistry
from headstart_server.serving.pool import ModelPool, TenantModels
from headstart_server.spec.parse import parse_values
from headstart_server.storage.folders import SharedFolders
from headstart_server.storage.storage import Storage

from tests.support import reviews


@dataclass
class Exports:
    """A trained model, and the exporter of its state directory."""

    models: ModelRegistry
    pool: ModelPool
    artifacts: ArtifactRegistry
    exporter: Exporter
    model: str

    def export(self, file_format: str, say: Say = lambda *_: None, head_only: bool = False) -> Artifact:
        """Exports the model."""
        predictor = self.pool.get("", self.model)
        return self.exporter.export(self.models.get(self.model), predictor, file_format, head_only, say)


def trained(root: Path, encoder: str, texts: Sequence[str] = (), **changes: Any) -> Exports:
    """Trains on reviews with an encoder of `root`/models, which reads the columns `texts`, too.

    `changes` are those of the encoder's spec.
    """
    layout = Layout(root / "state")
    runtime = RuntimeContext.at(Storage(layout), ModelSources(root / "models"))
    rows = reviews.make_rows(60)
    table = table_of_arrow(pa.table({name: [row[name] for row in rows] for name in rows[0]}), "dataset")
    spec = reviews.spec(epochs=1)
    named = {"type": "auto_transformer", "pretrained_model_name_or_path": encoder}
    spec["input_features"][0]["encoder"] |= {**named, **changes}
    first = spec["input_features"][0]
    spec["input_features"] += [{**first, "name": f"text {column}", "column": column} for column in texts]
    job = JobContext(new_id(), encoder, parse_values(spec), Sources((table,), ("dataset",)))
    identifier = LocalEngine(job, runtime, Silent()).run()
    models, artifacts = ModelRegistry(SharedFolders(layout.models)), ArtifactRegistry(SharedFolders(layout.artifacts))
    own = TenantModels(models, runtime.store)
    pool = ModelPool(lambda _: own, runtime.encoder_store, runtime.device, 1 << 30)
    return Exports(models, pool, artifacts, Exporter(artifacts, runtime.encoder_store), identifier)
