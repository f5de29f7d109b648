"""Trainings that begin from a model, or from none, in one state directory."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from headstart_server.core.layout import Layout
from headstart_server.core.names import new_id
from headstart_server.data.tables import Sources, Table, table_of_arrow
from headstart_server.encoders.sources import ModelSource, ModelSources
from headstart_server.encoders.text import load_encoder
from headstart_server.engines.events import JobEvent
from headstart_server.engines.job_context import JobContext
from headstart_server.engines.local import LocalEngine
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.model.bundle import Bundle
from headstart_server.model.registry import ModelRegistry
from headstart_server.spec.parse import parse_values
from headstart_server.storage.storage import Storage
from headstart_server.training.reports import EpochReport
from torch import Tensor

from tests.support import reviews

TYPES = {
    "price": "number",
    "category": "category",
    "watched": "binary",
    "tags": "set",
    "point": "vector",
}


def spec(*inputs: str, encoder: dict[str, Any] | None = None, **trainer: Any) -> dict[str, Any]:
    """Some columns to a verdict; with an encoder's settings, the text as well."""
    values = reviews.spec(**{"batch_size": 16, **trainer})
    text = values["input_features"][0]
    text["encoder"] |= encoder or {}
    values["input_features"] = [] if encoder is None else [text]
    values["input_features"] += [{"name": name, "type": TYPES[name]} for name in inputs]
    return values


@dataclass
class Heard:
    """What an engine has reported."""

    events: list[JobEvent] = field(default_factory=list)

    def report(self, event: JobEvent) -> None:
        """Keeps it."""
        self.events.append(event)

    def check(self) -> None:
        """Nobody stops it."""

    def stopping(self) -> bool:
        """Nobody stops it."""
        return False

    @property
    def epochs(self) -> list[EpochReport]:
        """In their order."""
        return [event for event in self.events if isinstance(event, EpochReport)]


def table_of(rows: list[reviews.Row]) -> Table:
    """As a table."""
    return table_of_arrow(pa.table({name: [row[name] for row in rows] for name in rows[0]}), "dataset")


class Trainings:
    """Trains and publishes in one state directory, with the pretrained models below a folder."""

    def __init__(self, root: Path, model_root: Path) -> None:
        storage = Storage(Layout(root))
        self.runtime = RuntimeContext.at(storage, ModelSources(model_root), use_gpu=False)
        self.models = ModelRegistry(storage.models)

    def train(
        self, spec: dict[str, Any], rows: list[reviews.Row] | Table, initial_model: str = "", identifier: str = ""
    ) -> tuple[Bundle, Heard]:
        """The model, and what was reported meanwhile."""
        table = rows if isinstance(rows, Table) else table_of(rows)
        sources, heard = Sources((table,), ("dataset",)), Heard()
        job = JobContext(identifier or new_id(), "", parse_values(spec), sources, initial_model=initial_model)
        return self.models.get(LocalEngine(job, self.runtime, heard).run()), heard

    def pretrained_state(self) -> dict[str, Tensor]:
        """The pretrained weights of the reviews' encoder."""
        source = self.runtime.sources.find("tiny-bert", None, "")
        assert isinstance(source, ModelSource)
        return load_encoder(source, "mean", use_pretrained=True, field="").state_dict()

    def served_state(self, bundle: Bundle) -> dict[str, Tensor]:
        """The weights of a model's encoder as it is served."""
        return bundle.encoder("review", self.runtime.encoder_store).state_dict()
