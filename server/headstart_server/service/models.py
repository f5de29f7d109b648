"""Published models: get, list, delete."""

from dataclasses import dataclass
from itertools import islice

from headstart_server.core.executors import Executors
from headstart_server.core.principal import Principal, Scope
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.model.bundle import Bundle
from headstart_server.model.registry import ModelRegistry
from headstart_server.service.tenants import Tenants
from headstart_server.serving.pool import ModelPool


@dataclass(frozen=True)
class Signature:
    """What a model reads and predicts."""

    inputs: tuple[FittedFeature, ...]
    outputs: tuple[FittedFeature, ...]


class ModelService:
    """Use cases of models, of which a caller finds those of its tenant alone. With each comes its size in bytes."""

    def __init__(self, tenants: Tenants, pool: ModelPool, executors: Executors) -> None:
        self._tenants, self._pool, self._executors = tenants, pool, executors

    async def get(self, caller: Principal, identifier: str) -> tuple[Bundle, int]:
        """One model; raises NotFoundError or DataLossError."""
        caller.require(Scope.READ)
        models = self._tenants.of(caller.tenant).models
        return await self._executors.files.run(lambda: _sized(models, models.get(identifier)))

    async def signature(self, caller: Principal, identifier: str) -> Signature:
        """What a model reads and predicts, for who may use it; raises NotFoundError or DataLossError."""
        caller.require(Scope.PREDICT)
        live = self._pool.loaded(caller.tenant, identifier)
        if live is not None:
            return Signature(live.inputs, live.outputs)
        bundle = await self._executors.files.run(self._tenants.of(caller.tenant).models.get, identifier)
        return Signature(bundle.inputs, bundle.outputs)

    async def newest(self, caller: Principal, limit: int, before: str) -> list[Bundle]:
        """Sound models, newest first, of those before an id where it is given; no others are read."""
        caller.require(Scope.READ)
        models = self._tenants.of(caller.tenant).models
        return await self._executors.files.run(lambda: list(islice(models.all(before), limit)))

    async def sized(self, caller: Principal, bundles: list[Bundle]) -> list[tuple[Bundle, int]]:
        """Models of the caller's with their sizes."""
        models = self._tenants.of(caller.tenant).models
        return await self._executors.files.run(lambda: [_sized(models, bundle) for bundle in bundles])

    async def delete(self, caller: Principal, identifier: str) -> None:
        """Deletes a model; raises NotFoundError."""
        caller.require(Scope.ADMIN)
        # files first: once the live model is dropped, nobody can load it again
        await self._executors.files.run(self._tenants.of(caller.tenant).models.delete, identifier)
        await self._executors.files.run(self._pool.forget, caller.tenant, identifier)


def _sized(models: ModelRegistry, bundle: Bundle) -> tuple[Bundle, int]:
    return bundle, models.size_bytes(bundle)
