"""What a training needs from its surroundings, and whom it tells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from headstart_server.core.layout import Layout
from headstart_server.data.images.decode import ImageLimits
from headstart_server.embedding_store.fill import FillProgress
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.encoders.sources import ModelSources
from headstart_server.model.bundle import EncoderVault
from headstart_server.planning.resolution import ResolvedValue
from headstart_server.spec.model import TrainSpec
from headstart_server.storage.storage import Storage
from headstart_server.training.reports import EpochReport, Reporter, StepReport


@dataclass(frozen=True)
class Workplace:
    """Folders, weights, store and device of one process."""

    storage: Storage
    sources: ModelSources
    store: EmbeddingStore
    vault: EncoderVault
    device: torch.device
    image_limits: ImageLimits

    @classmethod
    def at(
        cls, storage: Storage, sources: ModelSources, image_limits: ImageLimits | None = None, *, use_gpu: bool = True
    ) -> "Workplace":
        """The workplace over one machine's storage, on the current GPU where there is one and it is wanted."""
        gpu = use_gpu and torch.cuda.is_available()
        device = torch.device("cuda", torch.cuda.current_device()) if gpu else torch.device("cpu")
        store = EmbeddingStore(storage.layout.embeddings, storage.embeddings)
        vault = EncoderVault(storage.encoders)
        return cls(storage, sources, store, vault, device, image_limits or ImageLimits())

    @property
    def layout(self) -> Layout:
        """Folders on this machine's disk."""
        return self.storage.layout


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

    def warning(self, reason: str, message: str) -> None:
        """Nothing."""

    def model(self, identifier: str, report: EpochReport) -> None:
        """Nothing."""

    def check(self) -> None:
        """Never stops."""
