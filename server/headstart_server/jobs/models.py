"""What people say of models, and the aliases that name them. The models themselves are bundles in the storage."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.engine import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from headstart_server.core.errors import FailedPreconditionError, NotFoundError
from headstart_server.core.reasons import Reason
from headstart_server.jobs.connections import Database
from headstart_server.jobs.tables import ALIASES, MODELS

T = TypeVar("T")


@dataclass(frozen=True)
class ModelDetails:
    """What people say of a model."""

    display_name: str
    description: str
    labels: Mapping[str, str]
    update_time: datetime


@dataclass(frozen=True)
class Alias:
    """A name that is given to one model after another."""

    alias: str
    model: str
    """Id of the model that it names."""
    update_time: datetime
    """When it last began to name another."""


class ModelStore:
    """Thread-safe. Raises UnavailableError while the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def details(self, tenant: str, models: Collection[str]) -> dict[str, ModelDetails]:
        """Of those models of which people have said anything since they were published, by id."""
        query = select(MODELS).where(MODELS.c.tenant == tenant, MODELS.c.identifier.in_(models))
        with self._database.reading() as connection:
            return {row["identifier"]: _details(row) for row in connection.execute(query).mappings()}

    def update(
        self,
        tenant: str,
        model: str,
        at_first: ModelDetails,
        changes: Callable[[Mapping[str, str]], Mapping[str, Any]],
    ) -> ModelDetails:
        """Sets what `changes` gives for the labels that a model has; returns all that people say of it now.

        `at_first` is what its bundle says.
        """
        own = (MODELS.c.tenant == tenant) & (MODELS.c.identifier == model)

        def write(connection: Connection) -> ModelDetails:
            row = connection.execute(select(MODELS).where(own).with_for_update()).mappings().first()
            known = _details(row) if row is not None else at_first
            changed = replace(known, **changes(known.labels), update_time=datetime.now(UTC))
            values = {**asdict(changed), "labels": dict(changed.labels), "update_time": changed.update_time.isoformat()}
            if row is not None:
                connection.execute(update(MODELS).where(own).values(values))
            else:
                connection.execute(insert(MODELS).values(identifier=model, tenant=tenant, **values))
            return changed

        return self._written(write)

    def forget(self, tenant: str, model: str) -> None:
        """Removes what was said of a model that is deleted, and aliases that were given to it just before."""
        with self._database.writing() as connection:
            for table, column in ((MODELS, MODELS.c.identifier), (ALIASES, ALIASES.c.model)):
                connection.execute(delete(table).where(table.c.tenant == tenant, column == model))

    def alias(self, tenant: str, alias: str) -> Alias:
        """One alias; raises NotFoundError."""
        with self._database.reading() as connection:
            return _found(connection, _one(tenant, alias), alias)

    def aliases(self, tenant: str, limit: int, after: str = "", model: str = "") -> list[Alias]:
        """At most so many aliases by name, after one; of one model where it is named."""
        query = select(ALIASES).where(ALIASES.c.tenant == tenant, ALIASES.c.alias > after)
        if model:
            query = query.where(ALIASES.c.model == model)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(ALIASES.c.alias).limit(limit)).mappings()
            return [_alias(row) for row in rows]

    def aliases_of(self, tenant: str, models: Collection[str]) -> Mapping[str, list[str]]:
        """The aliases of some models, by their ids."""
        query = select(ALIASES).where(ALIASES.c.tenant == tenant, ALIASES.c.model.in_(models))
        found: dict[str, list[str]] = defaultdict(list)
        with self._database.reading() as connection:
            for row in connection.execute(query.order_by(ALIASES.c.alias)).mappings():
                found[row["model"]].append(row["alias"])
        return found

    def set_alias(self, tenant: str, alias: str, model: str, expected: str = "") -> tuple[Alias, str]:
        """Has an alias name a model; returns it with the model that it named before, if it named one.

        Raises FailedPreconditionError where it does not name the `expected` one yet.
        """

        def write(connection: Connection) -> tuple[Alias, str]:
            query = _one(tenant, alias).with_for_update()
            row = connection.execute(query).mappings().first()
            known = _alias(row) if row is not None else None
            if expected and (known is None or known.model != expected):
                now = f"names models/{known.model}" if known is not None else "does not exist"
                raise FailedPreconditionError(
                    f"models/{alias} {now}, not models/{expected}; read it again and decide anew",
                    reason=Reason.ALIAS_MOVED,
                    field="expected_model",
                )
            if known is not None and known.model == model:
                return known, model
            time = datetime.now(UTC)
            values = {"model": model, "update_time": time.isoformat()}
            if known is not None:
                own = (ALIASES.c.tenant == tenant) & (ALIASES.c.alias == alias)
                connection.execute(update(ALIASES).where(own).values(values))
            else:
                connection.execute(insert(ALIASES).values(tenant=tenant, alias=alias, **values))
            return Alias(alias, model, time), known.model if known is not None else ""

        return self._written(write)

    def restore_alias(self, tenant: str, alias: str, model: str, before: str) -> None:
        """Has an alias that was given to a model which is gone name what it did before, or nothing; one that somebody
        else has given away meanwhile stays."""

        def write(connection: Connection) -> None:
            row = connection.execute(_one(tenant, alias).with_for_update()).mappings().first()
            if row is not None and row["model"] != model:
                return
            own = (ALIASES.c.tenant == tenant) & (ALIASES.c.alias == alias)
            connection.execute(delete(ALIASES).where(own))
            if before and before != model:
                now = datetime.now(UTC).isoformat()
                connection.execute(insert(ALIASES).values(tenant=tenant, alias=alias, model=before, update_time=now))

        self._written(write)

    def delete_alias(self, tenant: str, alias: str, model: str = "") -> None:
        """Deletes an alias, if it names this model where one is given; raises NotFoundError for none."""
        query = delete(ALIASES).where(ALIASES.c.tenant == tenant, ALIASES.c.alias == alias)
        with self._database.writing() as connection:
            if connection.execute(query.where(ALIASES.c.model == model) if model else query).rowcount == 0:
                raise _missing(alias)

    def _written(self, write: Callable[[Connection], T]) -> T:
        try:
            with self._database.writing() as connection:
                return write(connection)
        except IntegrityError:
            # of two who are first with a row one has inserted it: the other finds it now
            with self._database.writing() as connection:
                return write(connection)


def _one(tenant: str, alias: str) -> Select[Any]:
    return select(ALIASES).where(ALIASES.c.tenant == tenant, ALIASES.c.alias == alias)


def _found(connection: Connection, query: Select[Any], alias: str) -> Alias:
    row = connection.execute(query).mappings().first()
    if row is None:
        raise _missing(alias)
    return _alias(row)


def _missing(alias: str) -> NotFoundError:
    return NotFoundError(f"models/{alias} does not exist; ListModelAliases lists the aliases that do", field="name")


def _details(row: RowMapping) -> ModelDetails:
    time = datetime.fromisoformat(row["update_time"])
    return ModelDetails(row["display_name"], row["description"], row["labels"], time)


def _alias(row: RowMapping) -> Alias:
    return Alias(row["alias"], row["model"], datetime.fromisoformat(row["update_time"]))
