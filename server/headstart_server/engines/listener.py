"""Whom a training tells, and what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from headstart_server.embedding_store.fill import FillProgress
from headstart_server.planning.resolution import ResolvedValue
from headstart_server.spec.model import TrainSpec
from headstart_server.training.reports import EpochReport, Reporter, StepReport


@dataclass(frozen=True)
class RowCounts:
    """Rows by part."""

    train: int
    validation: int
    test: int


class Listener(Reporter, Protocol):
    """Hears everything about one job."""

    def state(self, state: str) -> None:
        """The job entered `PREPARING`, `ENCODING`, `TRAINING` or `PUBLISHING`."""

    def resolved(self, spec: TrainSpec, values: Sequence[ResolvedValue], rows: RowCounts) -> None:
        """The spec's `auto` values; called again when measured values are in."""

    def encode(self, feature: str, progress: FillProgress, space: str) -> None:
        """The embedding pass goes on."""

    def model(self, identifier: str, report: EpochReport) -> None:
        """The model is published."""


class Silent:
    """A listener for what somebody else tells already."""

    def state(self, state: str) -> None:
        """Nothing."""

    def resolved(self, spec: TrainSpec, values: Sequence[ResolvedValue], rows: RowCounts) -> None:
        """Nothing."""

    def encode(self, feature: str, progress: FillProgress, space: str) -> None:
        """Nothing."""

    def step(self, report: StepReport) -> None:
        """Nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Nothing."""

    def past(self, report: EpochReport) -> None:
        """Nothing."""

    def warning(self, reason: str, message: str) -> None:
        """Nothing."""

    def model(self, identifier: str, report: EpochReport) -> None:
        """Nothing."""

    def check(self) -> None:
        """Never stops."""
