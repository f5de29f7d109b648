"""Names of models in requests: the one place where an alias becomes the model that it names."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from headstart_server.core.errors import NotFoundError, OverloadedError, UnavailableError
from headstart_server.core.executors import Executor, Executors
from headstart_server.core.names import alias_of, id_of, is_alias
from headstart_server.core.principal import Principal
from headstart_server.jobs.models import Alias, ModelStore
from headstart_server.jobs.store import JobStore

_MOST = 10_000
_PATIENCE_SECONDS = 1.0
Place = tuple[str, str]
"""A tenant's alias."""


@dataclass(frozen=True)
class _Known:
    model: str
    until: float


class ModelNames:
    """Resolves names of models to ids. Runs on the server's event loop, but for `current`.

    An alias is remembered for a second, so that predictions do not ask the database each: what another server changes
    is known here a second later, what this one changes at once. While the database does not answer, an alias names
    the model that it named last.

    Args:
        store: Where aliases are.
        reads: The threads that read it.
        seconds: For which an alias is remembered.
        clock: Seconds, from any start.
    """

    def __init__(
        self, store: ModelStore, reads: Executor, seconds: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.store = store
        """Where aliases are, and what people say of models."""
        self._reads, self._seconds, self._clock = reads, seconds, clock
        self._known: dict[Place, _Known] = {}
        self._reading: dict[Place, asyncio.Task[str]] = {}

    @classmethod
    def of(cls, jobs: JobStore, executors: Executors) -> "ModelNames":
        """The names in the database of a job store."""
        return cls(ModelStore(jobs.database), executors.store)

    async def identifier(self, caller: Principal, name: str, field: str = "name") -> str:
        """The id of the model that is named, `models/{id}` or an alias.

        Whether there is such a model is for others to say. Raises InvalidInputError naming `field` for what is no
        name, and NotFoundError for an alias that there is not.
        """
        if not is_alias(name):
            return id_of("models", name, field)
        place = caller.tenant, alias_of(name, field)
        known = self._known.get(place)
        if known is not None and self._clock() < known.until:
            return known.model
        try:
            return await self._read(place, known)
        except NotFoundError as error:
            raise NotFoundError(error.message, field=field) from None

    def current(self, tenant: str, name: str, field: str = "name") -> str:
        """As `identifier`, read on the calling thread."""
        if not is_alias(name):
            return id_of("models", name, field)
        try:
            return self.store.alias(tenant, alias_of(name, field)).model
        except NotFoundError as error:
            raise NotFoundError(error.message, field=field) from None

    def changed(self, tenant: str, alias: str, now: Alias | None = None) -> None:
        """Told when this server has changed or deleted an alias: what was read before counts no more."""
        self._reading.pop((tenant, alias), None)
        self._known.pop((tenant, alias), None)
        if now is not None:
            self._remember((tenant, alias), now.model)

    async def _read(self, place: Place, known: _Known | None) -> str:
        """What the database says; what was `known` where it does not answer. All who ask meanwhile share one read."""
        task = self._reading.get(place)
        if task is None:
            task = self._reading[place] = asyncio.create_task(self._load(place))
        if known is None:
            return await asyncio.shield(task)
        await asyncio.wait({task}, timeout=_PATIENCE_SECONDS)
        try:
            if task.done():
                return await task
        except (UnavailableError, OverloadedError):
            pass  # what is known is told below
        if self._known.get(place) is known:  # else the alias was changed here meanwhile, and this would undo it
            self._remember(place, known.model)
        return known.model

    async def _load(self, place: Place) -> str:
        try:
            found = await self._reads.run(self.store.alias, *place)
            if self._reading.get(place) is asyncio.current_task():
                self._remember(place, found.model)
            return found.model
        except NotFoundError:
            self._known.pop(place, None)
            raise
        finally:
            if self._reading.get(place) is asyncio.current_task():
                del self._reading[place]

    def _remember(self, place: Place, model: str) -> None:
        if len(self._known) >= _MOST and place not in self._known:
            self._known.clear()
        self._known[place] = _Known(model, self._clock() + self._seconds)
