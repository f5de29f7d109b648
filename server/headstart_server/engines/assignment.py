"""One job as an engine gets it."""

from dataclasses import dataclass

from headstart_server.data.tables import Sources
from headstart_server.spec.model import TrainSpec


@dataclass(frozen=True)
class Assignment:
    """What to train on which rows."""

    identifier: str
    display_name: str
    spec: TrainSpec
    sources: Sources
