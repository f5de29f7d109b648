"""Aliases are resolved without asking the database each time, and never long after they have changed."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError, NotFoundError, UnavailableError
from headstart_server.core.executors import Executor
from headstart_server.core.principal import Principal
from headstart_server.jobs.models import Alias
from headstart_server.service import model_names
from headstart_server.service.model_names import ModelNames

CALLER, OTHER = Principal("a"), Principal("b")
ALIAS = "models/sentiment@production"


class FakeStore:
    """Aliases in memory; `go_on` holds reads up, `away` makes them fail."""

    def __init__(self, **aliases: str) -> None:
        self.aliases = {("a", "sentiment@production"): "m1", **{("a", key): value for key, value in aliases.items()}}
        self.reads, self.away = 0, False
        self.go_on = threading.Event()
        self.go_on.set()

    def alias(self, tenant: str, alias: str) -> Alias:
        self.reads += 1
        found = self.aliases.get((tenant, alias))
        assert self.go_on.wait(30)
        if self.away:
            raise UnavailableError("the database does not answer", retry_after=1)
        if found is None:
            raise NotFoundError(f"models/{alias} does not exist", field="name")
        return Alias(alias, found, datetime.now(UTC))


class Clock:
    """Stands still."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def names_of(store: FakeStore, clock: Clock) -> ModelNames:
    anything: Any = store
    return ModelNames(anything, Executor("store", 2, 100), 1.0, clock)


async def test_an_id_is_itself_and_asks_nobody() -> None:
    store = FakeStore()
    assert await names_of(store, Clock()).identifier(CALLER, "models/m7") == "m7"
    assert store.reads == 0


@pytest.mark.parametrize("name", ["sentiment@production", "models/@x", "models/x@", "models/A@x", "models/a@b@c", "x"])
async def test_what_is_no_name_is_refused_with_its_field(name: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await names_of(FakeStore(), Clock()).identifier(CALLER, name, "model")
    assert refused.value.field == "model"


async def test_an_alias_is_read_once_a_second() -> None:
    store, clock = FakeStore(), Clock()
    names = names_of(store, clock)
    assert [await names.identifier(CALLER, ALIAS) for _ in range(5)] == ["m1"] * 5
    store.aliases["a", "sentiment@production"] = "m2"  # by another server
    clock.now = 0.99
    assert (await names.identifier(CALLER, ALIAS), store.reads) == ("m1", 1)
    clock.now = 1.0
    assert (await names.identifier(CALLER, ALIAS), store.reads) == ("m2", 2)


async def test_all_who_ask_at_once_share_a_read() -> None:
    store = FakeStore()
    names = names_of(store, Clock())
    store.go_on.clear()
    asking = [asyncio.create_task(names.identifier(CALLER, ALIAS)) for _ in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()  # one who leaves takes the answer from nobody
    store.go_on.set()
    assert await asyncio.gather(*asking[1:]) == ["m1"] * 19
    assert store.reads == 1


async def test_what_this_server_changes_is_known_at_once() -> None:
    store, clock = FakeStore(), Clock()
    names = names_of(store, clock)
    assert await names.identifier(CALLER, ALIAS) == "m1"
    names.changed("a", "sentiment@production", Alias("sentiment@production", "m2", datetime.now(UTC)))
    assert (await names.identifier(CALLER, ALIAS), store.reads) == ("m2", 1)
    names.changed("a", "sentiment@production")
    del store.aliases["a", "sentiment@production"]
    with pytest.raises(NotFoundError) as missing:
        await names.identifier(CALLER, ALIAS, "model")
    assert missing.value.field == "model"


async def test_a_read_that_began_before_a_change_is_not_remembered() -> None:
    store = FakeStore()
    names = names_of(store, Clock())
    store.go_on.clear()
    before = asyncio.create_task(names.identifier(CALLER, ALIAS))
    while not store.reads:
        await asyncio.sleep(0.001)
    store.aliases["a", "sentiment@production"] = "m2"
    names.changed("a", "sentiment@production", Alias("sentiment@production", "m2", datetime.now(UTC)))
    store.go_on.set()
    assert await before == "m1"
    assert await names.identifier(CALLER, ALIAS) == "m2"


async def test_a_read_that_never_came_undoes_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_names, "_PATIENCE_SECONDS", 0.05)
    store, clock = FakeStore(), Clock()
    names = names_of(store, clock)
    assert await names.identifier(CALLER, ALIAS) == "m1"
    clock.now += 2
    store.go_on.clear()
    before = asyncio.create_task(names.identifier(CALLER, ALIAS))
    while store.reads < 2:
        await asyncio.sleep(0.001)
    names.changed("a", "sentiment@production", Alias("sentiment@production", "m2", datetime.now(UTC)))
    assert await before == "m1"
    assert await names.identifier(CALLER, ALIAS) == "m2"
    store.go_on.set()


async def test_an_alias_of_another_tenant_is_not_found() -> None:
    names = names_of(FakeStore(), Clock())
    assert await names.identifier(CALLER, ALIAS) == "m1"
    with pytest.raises(NotFoundError):
        await names.identifier(OTHER, ALIAS)
    with pytest.raises(NotFoundError):
        names.current("b", ALIAS)


async def test_while_the_database_is_away_an_alias_names_what_it_named_last() -> None:
    store, clock = FakeStore(), Clock()
    names = names_of(store, clock)
    assert await names.identifier(CALLER, ALIAS) == "m1"
    store.away, clock.now = True, 5.0
    assert [await names.identifier(CALLER, ALIAS) for _ in range(3)] == ["m1"] * 3
    assert store.reads == 2  # asked again after a second, not at each call
    with pytest.raises(UnavailableError):
        await names.identifier(CALLER, "models/unknown@production")


async def test_whoever_creates_a_job_reads_the_alias_anew() -> None:
    store = FakeStore()
    names = names_of(store, Clock())
    assert await names.identifier(CALLER, ALIAS) == "m1"
    store.aliases["a", "sentiment@production"] = "m2"
    assert names.current("a", ALIAS, "initial_model") == "m2"
    assert names.current("a", "models/m9", "initial_model") == "m9"
    with pytest.raises(NotFoundError) as missing:
        names.current("a", "models/x@y", "initial_model")
    assert missing.value.field == "initial_model"
