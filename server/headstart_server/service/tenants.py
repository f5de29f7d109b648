"""What each tenant has: its data sets, models, artifacts and embeddings, which no other tenant finds."""

import threading
from dataclasses import dataclass

from headstart_server.data.uploads import Uploads
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.export.artifacts import ArtifactRegistry
from headstart_server.model.registry import ModelRegistry, Unpublished
from headstart_server.service.admission import Admission
from headstart_server.serving.pool import TenantModels


@dataclass(frozen=True)
class Belongings:
    """What one tenant has."""

    runtime: RuntimeContext
    uploads: Uploads
    models: ModelRegistry
    artifacts: ArtifactRegistry
    admission: Admission
    """Finds the files of jobs among the tenant's own."""


class Tenants:
    """Every tenant's belongings, each opened when its tenant first calls. Thread-safe.

    Args:
        runtime: Of the default tenant.
        data_root: Whose files the default tenant may name; any other those below the folder of its own name in it.
        max_dataset_bytes: Of an uploaded file.
        max_plan_bytes: Of the data that a plan reads.
        unpublished: Which models are not there for anybody yet, as of ModelRegistry.
    """

    def __init__(
        self,
        runtime: RuntimeContext,
        data_root: str | None = None,
        max_dataset_bytes: int = 1 << 30,
        max_plan_bytes: int = 1 << 30,
        unpublished: Unpublished = lambda models: (),
    ) -> None:
        self._runtime, self._data_root = runtime, data_root
        self._max_dataset_bytes, self._max_plan_bytes = max_dataset_bytes, max_plan_bytes
        self._unpublished = unpublished
        self._lock = threading.Lock()
        self._opened: dict[str, Belongings] = {}

    def of(self, tenant: str) -> Belongings:
        """One tenant's."""
        with self._lock:
            found = self._opened.get(tenant)
            if found is None:
                found = self._opened[tenant] = self._open(tenant)
            return found

    def models_of(self, tenant: str) -> TenantModels:
        """What the pool of live models needs of one tenant."""
        found = self.of(tenant)
        return TenantModels(found.models, found.runtime.store)

    def artifacts_of(self, tenant: str) -> ArtifactRegistry:
        """One tenant's artifacts."""
        return self.of(tenant).artifacts

    def release_idle(self, seconds: float) -> None:
        """Closes every tenant's embedding spaces that were not used for so long, so that they can be evicted."""
        with self._lock:
            opened = list(self._opened.values())
        for each in opened:
            each.runtime.store.release_idle(seconds)

    def _open(self, tenant: str) -> Belongings:
        runtime = self._runtime.of(tenant)
        storage = runtime.storage
        uploads = Uploads(storage.datasets, runtime.layout.tables, self._max_dataset_bytes)
        admission = Admission(
            storage,
            self._data_root_of(tenant),
            uploads,
            runtime.sources,
            runtime.device.type,
            runtime.image_limits,
            self._max_plan_bytes,
        )
        models, artifacts = ModelRegistry(storage.models, self._unpublished), ArtifactRegistry(storage.artifacts)
        return Belongings(runtime, uploads, models, artifacts, admission)

    def _data_root_of(self, tenant: str) -> str | None:
        if self._data_root is None or not tenant:
            return self._data_root
        return f"{self._data_root.rstrip('/')}/{tenant}"
