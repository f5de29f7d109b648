"""What people say of models, and aliases, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from headstart_server.core.errors import FailedPreconditionError, NotFoundError
from headstart_server.core.reasons import Reason
from headstart_server.jobs.models import ModelDetails, ModelStore
from headstart_server.jobs.store import JobStore

AT_FIRST = ModelDetails("first", "", {"team": "search"}, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def models(database_url: str) -> Iterator[ModelStore]:
    jobs = JobStore(database_url, migrate=True)
    yield ModelStore(jobs.database)
    jobs.close()


def test_a_model_keeps_what_is_said_of_it(models: ModelStore) -> None:
    assert models.details("a", ["m1", "m2"]) == {}
    first = models.update("a", "m1", AT_FIRST, lambda labels: {"description": "of May", "labels": {**labels, "x": ""}})
    assert (first.display_name, first.description, first.labels) == ("first", "of May", {"team": "search", "x": ""})
    second = models.update("a", "m1", AT_FIRST, lambda labels: {"display_name": "second"})
    assert (second.display_name, second.labels) == ("second", first.labels)
    assert second.update_time >= first.update_time > AT_FIRST.update_time
    assert models.details("a", ["m1", "m2"]) == {"m1": second}
    assert models.details("b", ["m1"]) == {}


def test_an_alias_names_one_model_after_another(models: ModelStore) -> None:
    first, before = models.set_alias("a", "sentiment@production", "m1")
    assert models.alias("a", "sentiment@production") == first
    again, _ = models.set_alias("a", "sentiment@production", "m1")
    assert again == first  # it names no other
    moved, known = models.set_alias("a", "sentiment@production", "m2")
    assert (before, known) == ("", "m1")
    assert (moved.model, moved.update_time >= first.update_time) == ("m2", True)
    assert models.aliases_of("a", ["m1", "m2"]) == {"m2": ["sentiment@production"]}
    with pytest.raises(NotFoundError):
        models.alias("b", "sentiment@production")


def test_an_alias_moves_only_from_the_model_that_is_expected(models: ModelStore) -> None:
    with pytest.raises(FailedPreconditionError, match="models/s@p does not exist, not models/m1") as refused:
        models.set_alias("a", "s@p", "m2", expected="m1")
    assert (refused.value.reason, refused.value.field) == (Reason.ALIAS_MOVED, "expected_model")
    models.set_alias("a", "s@p", "m1")
    with pytest.raises(FailedPreconditionError, match="names models/m1, not models/m9"):
        models.set_alias("a", "s@p", "m2", expected="m9")
    assert models.alias("a", "s@p").model == "m1"
    assert models.set_alias("a", "s@p", "m2", expected="m1")[0].model == "m2"


def test_of_many_who_expect_the_same_model_one_moves_the_alias(models: ModelStore) -> None:
    models.set_alias("a", "s@p", "m0")
    outcomes: list[Any] = []

    def move(number: int) -> None:
        try:
            outcomes.append(models.set_alias("a", "s@p", f"m{number}", expected="m0")[0].model)
        except FailedPreconditionError as error:
            outcomes.append(error.reason)

    threads = [threading.Thread(target=move, args=(number,)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes)[:5] == [Reason.ALIAS_MOVED] * 5
    assert models.alias("a", "s@p").model == sorted(outcomes)[5]


def test_of_many_who_make_an_alias_all_succeed(models: ModelStore) -> None:
    made: list[str] = []
    threads = [
        threading.Thread(target=lambda number=number: made.append(models.set_alias("a", "s@p", f"m{number}")[0].model))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [f"m{number}" for number in range(6)]
    assert len(models.aliases("a", 10)) == 1


def test_aliases_are_listed_by_name_and_by_model(models: ModelStore) -> None:
    for alias, model in (("b@x", "m1"), ("a@y", "m2"), ("a@x", "m1")):
        models.set_alias("a", alias, model)
    models.set_alias("b", "a@z", "m1")
    assert [each.alias for each in models.aliases("a", 2)] == ["a@x", "a@y"]
    assert [each.alias for each in models.aliases("a", 2, "a@y")] == ["b@x"]
    assert [each.alias for each in models.aliases("a", 9, model="m1")] == ["a@x", "b@x"]


def test_what_was_said_of_a_deleted_model_goes_with_it(models: ModelStore) -> None:
    models.update("a", "m1", AT_FIRST, lambda _: {"description": "gone"})
    for alias, model in (("s@x", "m1"), ("s@y", "m2")):
        models.set_alias("a", alias, model)
    models.forget("b", "m1")
    assert models.details("a", ["m1"])
    models.forget("a", "m1")
    assert models.details("a", ["m1"]) == {}
    assert [each.alias for each in models.aliases("a", 9)] == ["s@y"]
    with pytest.raises(NotFoundError):
        models.delete_alias("a", "s@y", model="m1")
    models.delete_alias("a", "s@y")
    with pytest.raises(NotFoundError, match="models/s@y does not exist"):
        models.delete_alias("a", "s@y")
