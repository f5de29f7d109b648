"""What a training needs from its surroundings."""

from dataclasses import dataclass

import torch

from headstart_server.core.layout import Layout
from headstart_server.data.images.decode import ImageLimits
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.encoders.precision import compute_fp32_exactly
from headstart_server.encoders.sources import ModelSources
from headstart_server.model.bundle import EncoderVault
from headstart_server.storage.storage import Storage


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
        compute_fp32_exactly()
        device = torch.device("cuda", torch.cuda.current_device()) if gpu else torch.device("cpu")
        store = EmbeddingStore(storage.layout.embeddings, storage.embeddings)
        vault = EncoderVault(storage.encoders)
        return cls(storage, sources, store, vault, device, image_limits or ImageLimits())

    @property
    def layout(self) -> Layout:
        """Folders on this machine's disk."""
        return self.storage.layout
