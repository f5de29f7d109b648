"""Published models: get, list, delete."""

from headstart_server.core.executors import Executors
from headstart_server.core.principal import Principal, Scope
from headstart_server.model.bundle import Bundle
from headstart_server.model.registry import ModelRegistry
from headstart_server.serving.pool import ModelPool


class ModelService:
    """Use cases of models. With each comes its size on disk, in bytes."""

    def __init__(self, registry: ModelRegistry, pool: ModelPool, executors: Executors) -> None:
        self._registry, self._pool, self._executors = registry, pool, executors

    async def get(self, caller: Principal, identifier: str) -> tuple[Bundle, int]:
        """One model; raises NotFoundError or DataLossError."""
        caller.require(Scope.READ)
        return await self._executors.files.run(lambda: self._sized(self._registry.get(identifier)))

    async def all(self, caller: Principal) -> list[Bundle]:
        """Every sound model, newest first."""
        caller.require(Scope.READ)
        return await self._executors.files.run(lambda: list(self._registry.all()))

    async def sized(self, bundles: list[Bundle]) -> list[tuple[Bundle, int]]:
        """Models with their sizes."""
        return await self._executors.files.run(lambda: list(map(self._sized, bundles)))

    async def delete(self, caller: Principal, identifier: str) -> None:
        """Deletes a model; raises NotFoundError."""
        caller.require(Scope.ADMIN)
        # files first: once the live model is dropped, nobody can load it again
        await self._executors.files.run(self._registry.delete, identifier)
        await self._executors.files.run(self._pool.forget, identifier)

    def _sized(self, bundle: Bundle) -> tuple[Bundle, int]:
        return bundle, self._registry.size_bytes(bundle)
