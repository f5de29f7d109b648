"""Published models: get, list, update, delete, and the aliases that name them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from headstart_server.core.errors import FailedPreconditionError, NotFoundError
from headstart_server.core.executors import Executors
from headstart_server.core.filters import Field, Kind, Node, matches
from headstart_server.core.names import name_of
from headstart_server.core.principal import Principal, Scope
from headstart_server.core.reasons import Reason
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.jobs.models import Alias, ModelDetails
from headstart_server.model.bundle import Bundle
from headstart_server.model.registry import ModelRegistry, ModelSummary
from headstart_server.service.model_names import ModelNames
from headstart_server.service.tenants import Tenants
from headstart_server.serving.pool import ModelPool
from headstart_server.serving.precision import ServedPrecision

FIELDS: Mapping[str, Field] = {
    "display_name": Field(Kind.TEXT),
    "description": Field(Kind.TEXT),
    "job": Field(Kind.TEXT),
    "create_time": Field(Kind.TIME),
    "labels": Field(Kind.LABELS),
}
"""What filters of models may name."""
SEARCHED = "display_name"
"""Where bare words are looked for."""
_SEARCHED_AT_ONCE = 200


@dataclass(frozen=True)
class PublishedModel:
    """A model, and what is known of it beside its bundle."""

    bundle: Bundle
    size_bytes: int
    details: ModelDetails
    aliases: Sequence[str]
    served: ServedPrecision | None
    """In which arithmetic this server answers for it; None until it is asked."""


@dataclass(frozen=True)
class Signature:
    """What a model reads and predicts."""

    inputs: tuple[FittedFeature, ...]
    outputs: tuple[FittedFeature, ...]


class ModelService:
    """Use cases of models, of which a caller finds those of its tenant alone."""

    def __init__(self, tenants: Tenants, pool: ModelPool, executors: Executors, names: ModelNames) -> None:
        self._tenants, self._pool, self._executors = tenants, pool, executors
        self._store, self._names = names.store, names

    async def get(self, caller: Principal, identifier: str) -> PublishedModel:
        """One model; raises NotFoundError or DataLossError."""
        caller.require(Scope.READ)
        [found] = await self._published(caller.tenant, [await self._bundle(caller.tenant, identifier)])
        return found

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

    async def listed(self, caller: Principal, limit: int, before: str, condition: Node | None) -> list[PublishedModel]:
        """As `newest`, with all that is known of them; with a condition those that meet it."""
        caller.require(Scope.READ)
        tenant, models = caller.tenant, self._tenants.of(caller.tenant).models
        if condition is None:
            bundles = await self.newest(caller, limit, before)
        else:
            bundles = await self._matching(tenant, models, limit, before, condition)
        return await self._published(tenant, bundles)

    async def update(
        self, caller: Principal, identifier: str, changes: Callable[[Mapping[str, str]], Mapping[str, Any]]
    ) -> PublishedModel:
        """Sets what `changes` gives for the labels that a model has; raises what that does, or NotFoundError."""
        caller.require(Scope.TRAIN)
        bundle = await self._bundle(caller.tenant, identifier)
        at_first = _said_at_first(ModelSummary.of(bundle.details))
        await self._executors.store.run(self._store.update, caller.tenant, identifier, at_first, changes)
        [found] = await self._published(caller.tenant, [bundle])
        return found

    async def delete(self, caller: Principal, identifier: str) -> None:
        """Deletes a model; raises NotFoundError, or FailedPreconditionError where an alias names it."""
        caller.require(Scope.ADMIN)
        store, files, tenant = self._executors.store, self._executors.files, caller.tenant
        if named := await store.run(self._store.aliases, tenant, 1, "", identifier):
            raise FailedPreconditionError(
                f"models/{named[0].alias} names models/{identifier}; have the alias name another model, or delete it",
                reason=Reason.MODEL_HAS_ALIAS,
                field="name",
            )
        # files first: once the live model is dropped, nobody can load it again
        await files.run(self._tenants.of(tenant).models.delete, identifier)
        await files.run(self._pool.forget, tenant, identifier)
        await store.run(self._store.forget, tenant, identifier)

    async def set_alias(self, caller: Principal, alias: str, model: str, expected: str) -> Alias:
        """Has an alias name a model; raises NotFoundError, or FailedPreconditionError as ModelStore.set_alias."""
        caller.require(Scope.TRAIN)
        store, tenant = self._executors.store, caller.tenant
        await self._require(tenant, model)
        found, before = await store.run(self._store.set_alias, tenant, alias, model, expected)
        self._names.changed(tenant, alias, found)
        try:
            await self._require(tenant, model)  # it may have been deleted meanwhile, when no alias named it yet
        except NotFoundError:
            await store.run(self._store.restore_alias, tenant, alias, model, before)
            self._names.changed(tenant, alias)
            raise
        return found

    async def alias(self, caller: Principal, alias: str) -> Alias:
        """One alias; raises NotFoundError."""
        caller.require(Scope.READ)
        return await self._executors.store.run(self._store.alias, caller.tenant, alias)

    async def aliases(self, caller: Principal, limit: int, after: str, model: str) -> list[Alias]:
        """At most so many aliases by name, after one; of one model where it is named."""
        caller.require(Scope.READ)
        return await self._executors.store.run(self._store.aliases, caller.tenant, limit, after, model)

    async def delete_alias(self, caller: Principal, alias: str) -> None:
        """Deletes an alias; raises NotFoundError."""
        caller.require(Scope.TRAIN)
        await self._executors.store.run(self._store.delete_alias, caller.tenant, alias)
        self._names.changed(caller.tenant, alias)

    async def _bundle(self, tenant: str, identifier: str) -> Bundle:
        return await self._executors.files.run(self._tenants.of(tenant).models.get, identifier)

    async def _require(self, tenant: str, identifier: str) -> None:
        """Raises NotFoundError, naming the field `model`."""
        try:
            await self._bundle(tenant, identifier)
        except NotFoundError as error:
            raise NotFoundError(error.message, field="model") from None

    async def _matching(
        self, tenant: str, models: ModelRegistry, limit: int, before: str, condition: Node
    ) -> list[Bundle]:
        """The first sound models that meet a condition."""
        found, names = list[Bundle](), list[str]()
        summaries = await self._executors.files.run(models.summaries, before)
        while len(found) < limit:
            if not names:
                some = await self._executors.files.run(_taken, summaries)
                if not some:
                    break
                said = await self._executors.store.run(self._store.details, tenant, list(some))
                names = [name for name, item in some.items() if matches(condition, _values(item, said.get(name)))]
            next_ones = names[: limit - len(found)]
            names = names[len(next_ones) :]
            found += await self._executors.files.run(_read, models, next_ones)
        return found

    async def _published(self, tenant: str, bundles: Sequence[Bundle]) -> list[PublishedModel]:
        models, names = self._tenants.of(tenant).models, [bundle.folder.name for bundle in bundles]
        sizes = await self._executors.files.run(lambda: [models.size_bytes(bundle) for bundle in bundles])
        said = await self._executors.store.run(self._store.details, tenant, names)
        aliases = await self._executors.store.run(self._store.aliases_of, tenant, names)
        return [
            PublishedModel(
                bundle,
                size,
                said.get(name) or _said_at_first(ModelSummary.of(bundle.details)),
                aliases.get(name, ()),
                self._pool.served(tenant, name),
            )
            for name, bundle, size in zip(names, bundles, sizes, strict=True)
        ]


def _taken(summaries: Iterator[tuple[str, ModelSummary]]) -> dict[str, ModelSummary]:
    return dict(islice(summaries, _SEARCHED_AT_ONCE))


def _read(models: ModelRegistry, names: list[str]) -> list[Bundle]:
    return list(models.those(names))


def _said_at_first(summary: ModelSummary) -> ModelDetails:
    time = datetime.fromisoformat(summary.create_time)
    return ModelDetails(summary.display_name, summary.description, summary.labels, time)


def _values(summary: ModelSummary, said: ModelDetails | None) -> dict[str, Any]:
    """What filters compare."""
    details = said or _said_at_first(summary)
    return {
        "display_name": details.display_name,
        "description": details.description,
        "labels": details.labels,
        "job": name_of("trainJobs", summary.job),
        "create_time": datetime.fromisoformat(summary.create_time),
    }
