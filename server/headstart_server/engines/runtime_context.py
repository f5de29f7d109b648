"""What a process runs jobs with: folders, weights, store and device."""

import os
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from headstart_server.core.digests import fingerprint
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.layout import Layout
from headstart_server.core.reasons import Reason
from headstart_server.core.versions import own_version
from headstart_server.data.images.decode import ImageLimits
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.encoders.batch_sharing import keep_measurements
from headstart_server.encoders.precision import adopt_precision, compute_fp32_exactly
from headstart_server.encoders.sources import ModelSources
from headstart_server.encoding.encoder_cache import EncoderCache
from headstart_server.encoding.rows import PassContext
from headstart_server.engines.envelopes import RuntimeSettings
from headstart_server.model.encoder_store import EncoderStore
from headstart_server.storage.storage import Storage

_RUNTIMES: dict[Layout, "RuntimeContext"] = {}
"""Of this process, by state directory and tenant."""


@dataclass(frozen=True)
class RuntimeContext:
    """Folders, weights, store and device of one process, as one tenant has them."""

    storage: Storage
    sources: ModelSources
    store: EmbeddingStore
    encoder_store: EncoderStore
    device: torch.device
    image_limits: ImageLimits

    @classmethod
    def at(
        cls, storage: Storage, sources: ModelSources, image_limits: ImageLimits | None = None, *, use_gpu: bool = True
    ) -> "RuntimeContext":
        """The runtime context over one machine's storage, on the current GPU where there is one and it is wanted."""
        gpu = use_gpu and torch.cuda.is_available()
        compute_fp32_exactly()
        device = torch.device("cuda", torch.cuda.current_device()) if gpu else torch.device("cpu")
        store = EmbeddingStore(storage.layout.embeddings, storage.embeddings)
        encoder_store = EncoderStore(storage.encoders)
        return cls(storage, sources, store, encoder_store, device, image_limits or ImageLimits())

    def of(self, tenant: str) -> "RuntimeContext":
        """The same process's, as another tenant has it."""
        storage = self.storage.of(tenant)
        shares = storage.layout.embeddings == self.layout.embeddings
        store = self.store if shares else EmbeddingStore(storage.layout.embeddings, storage.embeddings)
        return replace(self, storage=storage, store=store)

    @property
    def layout(self) -> Layout:
        """Folders on this machine's disk."""
        return self.storage.layout


def pass_context(runtime: RuntimeContext, check: Callable[[], None], most_loaders: int | None = None) -> PassContext:
    """What the passes of a job run with; `check` may raise to stop one."""
    tokens, limits = runtime.layout.tokens, runtime.image_limits
    return PassContext(runtime.device, tokens, limits, EncoderCache(), check, most_loaders)


def runtime_of(settings: RuntimeSettings, *, use_gpu: bool | None = None) -> RuntimeContext:
    """The process's runtime context, on a GPU if it is to `use_gpu`; None: where there is one.

    It is kept between jobs, so that the index of the store stays warm.

    Raises FailedPreconditionError where this machine has another version of Headstart than the server, or no GPU.
    """
    if settings.version != own_version():
        raise FailedPreconditionError(
            f"a machine of the cluster has Headstart {own_version()}, the server {settings.version}; install the "
            "server's version on all of them",
            reason=Reason.VERSIONS_DIFFER,
            field="backend",
        )
    if use_gpu and not torch.cuda.is_available():
        raise FailedPreconditionError(
            f"{socket.gethostname()} was given a GPU that torch cannot use there; install torch for its CUDA driver on "
            "the machines that have GPUs, or set backend.trainer.use_gpu to false",
            reason=Reason.NO_GPU,
            field="backend.trainer.use_gpu",
        )
    for device_type, precision in settings.precisions.items():
        # before anything is planned: another answer would be another embedding space
        adopt_precision(precision, device_type)
    state_dir = settings.state_dir or _own_state_dir(settings.storage_url)
    layout = Layout(Path(state_dir), settings.tenant, settings.shared_content)
    if layout not in _RUNTIMES:
        sources = ModelSources(Path(settings.model_root) if settings.model_root else None, settings.hub_allowed)
        storage = Storage(layout, settings.storage_url)
        keep_measurements(layout.batch_sharing)
        _RUNTIMES[layout] = RuntimeContext.at(storage, sources, settings.image_limits, use_gpu=use_gpu is not False)
    return _RUNTIMES[layout]


def _own_state_dir(storage_url: str) -> str:
    """Where a machine without a server keeps what it has of a shared storage."""
    return os.environ.get("HEADSTART_STATE_DIR") or str(
        Path(tempfile.gettempdir()) / f"headstart-{fingerprint({'storage': storage_url})}"
    )


def release_idle_spaces(seconds: float) -> None:
    """Closes embedding spaces that no job has used for so long, so that they can be evicted or deleted."""
    for runtime in _RUNTIMES.values():
        runtime.store.release_idle(seconds)
