"""One job as an engine gets it: its envelope, opened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headstart_server.data.source import SourceRecord, open_sources
from headstart_server.data.tables import Sources
from headstart_server.engines.envelopes import JobEnvelope
from headstart_server.spec.model import TrainSpec
from headstart_server.storage.storage import Storage


@dataclass(frozen=True)
class JobContext:
    """What to train on which rows."""

    identifier: str
    display_name: str
    spec: TrainSpec
    sources: Sources
    halvings: int = 0
    """How often the rows of a pass are halved, because memory ran out."""
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    initial_model: str = ""
    """Id of the model whose weights it begins from; empty: of none."""
    records: Sequence[SourceRecord] = ()
    """Where the tables came from."""


def job_context_of(envelope: JobEnvelope, storage: Storage) -> JobContext:
    """Opens the tables; raises what `SourceRecord.open` does."""
    sources = open_sources(envelope.sources, storage)
    return JobContext(
        envelope.identifier,
        envelope.display_name,
        envelope.spec,
        sources,
        envelope.halvings,
        envelope.description,
        envelope.labels,
        envelope.initial_model,
        envelope.sources,
    )
