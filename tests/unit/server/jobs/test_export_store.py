"""The store of export jobs, on each kind of database: claims, leases, ends, and what watchers on other servers see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from headstart_server.core.errors import DataLossError, NotFoundError, OverloadedError
from headstart_server.core.executors import Executors
from headstart_server.core.names import new_id
from headstart_server.data.source import SourceRecord
from headstart_server.engines.envelopes import PREDICTIONS, PredictionsOrder
from headstart_server.jobs.connections import Database
from headstart_server.jobs.export_records import ExportEnd, ExportOrder, ExportRecord, ExportState, Stage
from headstart_server.jobs.export_store import ExportStore, LostExportError
from headstart_server.jobs.export_watch import ExportWatch
from headstart_server.jobs.store import JobStore
from headstart_server.jobs.tables import EXPORTS
from sqlalchemy import update

SUCCEEDED = ExportEnd(ExportState.SUCCEEDED, artifact="a")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    store = JobStore(database_url, migrate=True)
    yield store.database
    store.close()


@pytest.fixture
def store(database: Database) -> ExportStore:
    return ExportStore(database, "one")


def job(
    model: str = "m", tenant: str = "", state: ExportState = ExportState.QUEUED, artifact: str = ""
) -> ExportRecord:
    """A new export."""
    return ExportRecord(
        new_id(), tenant, ExportOrder(model, "onnx", False), state, datetime.now(UTC), artifact=artifact
    )


def test_each_export_is_claimed_by_one_of_many_who_ask_at_once(database: Database) -> None:
    stores = [ExportStore(database, f"server{number}") for number in range(6)]
    created = {stores[0].create(job(f"m{number}")).identifier for number in range(4)}
    with ThreadPoolExecutor(6) as threads:
        claimed = [found for found in threads.map(lambda each: each.claim(), stores) if found is not None]
    assert sorted(found.identifier for found in claimed) == sorted(created)
    assert all(found.attempt == 1 and found.state is ExportState.RUNNING for found in claimed)


def test_the_same_order_at_once_is_one_job(database: Database) -> None:
    stores = [ExportStore(database, f"server{number}") for number in range(6)]
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(lambda each: each.create(job()), stores))
    assert len({each.identifier for each in found}) == 1
    assert found[0].identifier != stores[0].create(job(tenant="other")).identifier


def test_who_waits_knows_how_many_wait_before_it_whosever_they_are(store: ExportStore) -> None:
    first, second, third = (store.create(job("m", tenant)) for tenant in ("a", "b", "c"))
    assert [first.jobs_before, second.jobs_before, third.jobs_before] == [0, 1, 2]
    claimed = store.claim()
    assert claimed is not None and (claimed.identifier, claimed.jobs_before) == (first.identifier, None)
    assert [each.jobs_before for each in store.several([second.identifier, third.identifier])] == [0, 1]


def test_lists_are_a_tenants_own_newest_first_page_by_page(store: ExportStore) -> None:
    own = [store.create(job(f"m{number}", "a")).identifier for number in range(3)]
    store.create(job("m0", "b"))
    newest = store.newest("a", 2)
    assert [each.identifier for each in newest] == [own[2], own[1]]
    assert [each.identifier for each in store.newest("a", 2, newest[-1].identifier)] == [own[0]]
    assert [each.identifier for each in store.newest("a", 9, model="m1")] == [own[1]]


def test_another_tenants_export_does_not_exist(store: ExportStore) -> None:
    identifier = store.create(job(tenant="a")).identifier
    assert store.get(identifier, "a").identifier == identifier
    for tenant in ("b", ""):
        with pytest.raises(NotFoundError, match=f"exportJobs/{identifier} does not exist"):
            store.get(identifier, tenant)


def test_an_older_attempt_reports_in_vain(database: Database, store: ExportStore) -> None:
    identifier = store.create(job()).identifier
    assert store.claim() is not None
    other = ExportStore(database, "two")
    assert [each.identifier for each in other.reap(alone=True)] == [identifier]
    assert other.claim() is not None
    reports: tuple[Callable[[], object], ...] = (
        lambda: store.tell(identifier, 1, Stage("check", "")),
        lambda: store.end(identifier, 1, SUCCEEDED),
        lambda: store.give_back(identifier, 1),
        lambda: other.end(identifier, 1, SUCCEEDED),
    )
    for report in reports:
        with pytest.raises(LostExportError):
            report()
    other.end(identifier, 2, SUCCEEDED)
    assert (store.get(identifier).state, store.get(identifier).artifact) == (ExportState.SUCCEEDED, "a")


def test_a_lease_that_is_renewed_holds_and_one_that_ran_out_is_taken(database: Database) -> None:
    short, other = ExportStore(database, "short", lease_seconds=-1.0), ExportStore(database, "other")
    identifier = short.create(job()).identifier
    assert short.claim() is not None
    long = ExportStore(database, "short", lease_seconds=60.0)
    assert long.renew({identifier: 1, "gone": 1}) == {identifier}
    assert long.held({identifier: 2}) == set()
    assert other.reap() == short.reap() == []
    short.renew({identifier: 1})
    assert short.reap([identifier]) == []
    assert [each.state for each in other.reap()] == [ExportState.QUEUED]
    assert long.renew({identifier: 1}) == set()


def test_what_is_refused_is_not_stored(store: ExportStore) -> None:
    def refuse(unfinished: int, own: int) -> None:
        raise OverloadedError(f"{unfinished} are enough, {own} of them one's own")

    store.create(job())
    with pytest.raises(OverloadedError, match="1 are enough, 1 of them"):
        store.create(job("other"), refuse)
    done = store.create(job("other", state=ExportState.SUCCEEDED, artifact="x"), refuse)
    assert (done.artifact, store.unfinished()) == ("x", 1)


def test_what_ended_while_its_artifact_was_looked_for_is_not_made_again(store: ExportStore) -> None:
    looked, first = datetime.now(UTC), store.create(job())
    claimed = store.claim()
    assert claimed is not None
    store.end(first.identifier, claimed.attempt, SUCCEEDED)
    ended = store.get(first.identifier)
    assert ended.end_time is not None
    assert store.create(job(), looked=looked).identifier == first.identifier
    later = ended.end_time + timedelta(microseconds=1)
    assert store.create(job(), looked=later).identifier != first.identifier  # its artifact has been deleted since


def test_ended_ones_are_kept_until_they_expire(store: ExportStore) -> None:
    waiting, running = store.create(job("waits")), store.create(job("runs"))
    done = store.create(job("m", state=ExportState.SUCCEEDED, artifact="x"))
    assert store.expire(datetime.now(UTC) - timedelta(days=1)) == 0
    assert store.expire(datetime.now(UTC) + timedelta(seconds=1)) == 1
    assert {each.identifier for each in store.newest("", 9)} == {waiting.identifier, running.identifier}
    with pytest.raises(NotFoundError):
        store.get(done.identifier)


def test_a_damaged_export_says_so(database: Database, store: ExportStore) -> None:
    identifier = store.create(job()).identifier
    with database.writing() as connection:
        connection.execute(update(EXPORTS).values(error="{"))
    with pytest.raises(DataLossError, match=f"exportJobs/{identifier} is damaged"):
        store.get(identifier)


def test_tenants_take_turns_however_many_exports_one_of_them_asks_for(database: Database, store: ExportStore) -> None:
    many = [store.create(job(f"m{number}", "busy")).identifier for number in range(3)]
    late = store.create(job("m", "small"))
    assert late.jobs_before == 1
    assert [each.jobs_before for each in store.several(many)] == [0, 2, 3]
    first, second = store.claim(), ExportStore(database, "two").claim()
    assert first is not None and second is not None
    assert [first.identifier, second.identifier] == [many[0], late.identifier]


def test_a_damaged_export_holds_up_no_other(database: Database, store: ExportStore) -> None:
    spoilt, sound = store.create(job("m1")).identifier, store.create(job("m2")).identifier
    with database.writing() as connection:
        connection.execute(update(EXPORTS).where(EXPORTS.c.identifier == spoilt).values(create_time="never"))
    assert [each.identifier for each in store.newest("", 10)] == [sound]
    assert store.newest("", 10, before=sound) == store.several([spoilt]) == []
    claimed = store.claim()
    assert claimed is not None and claimed.identifier == sound
    assert store.claim() is None  # it was ended
    with database.writing() as connection:
        connection.execute(update(EXPORTS).where(EXPORTS.c.identifier == sound).values(create_time="never"))
    assert ExportStore(database, "two").reap(alone=True) == []
    assert store.unfinished() == 0


async def test_watchers_on_another_server_see_changes_within_its_looks(postgres_url: str) -> None:
    jobs = JobStore(postgres_url, migrate=True)
    here, there = ExportStore(jobs.database, "here"), ExportStore(jobs.database, "there")
    watch = ExportWatch(there, Executors().store, look_seconds=0.02)
    looking = asyncio.create_task(watch.run())
    identifier = here.create(job()).identifier
    seen = watch.watch(identifier)
    async with asyncio.timeout(20):
        assert (await anext(seen)).state is ExportState.QUEUED
        here.claim()
        assert (await anext(seen)).state is ExportState.RUNNING
        here.tell(identifier, 1, Stage("check", "comparing"))
        assert (await anext(seen)).stage == Stage("check", "comparing")
        here.end(identifier, 1, SUCCEEDED)
        assert [each.artifact async for each in seen] == ["a"]
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    jobs.close()


def test_predictions_have_a_queue_of_their_own_and_hold_their_data_set(store: ExportStore) -> None:
    source = SourceRecord("dataset", "/state/data.csv", "csv", "d1", folders=["/data"], sha256="ab")
    order = ExportOrder("m", PREDICTIONS, False, PredictionsOrder(source, ("id",), True, "any"))
    waiting = store.create(job())
    created = [store.create(replace(job(f"m{number}"), order=replace(order, model=f"m{number}"))) for number in (1, 2)]
    assert [each.jobs_before for each in (waiting, *created)] == [0, 0, 1]
    assert store.create(replace(job(), order=created[0].order)).identifier == created[0].identifier
    assert (store.user_of("d1"), store.user_of("d2")) == (created[0].identifier, None)
    claimed = store.claim(predictions=True)
    assert claimed is not None and claimed.order == created[0].order
    store.tell(claimed.identifier, 1, Stage("predict", "4 of 9 rows", 4, 9_000_000_000))
    assert store.get(claimed.identifier).stage == Stage("predict", "4 of 9 rows", 4, 9_000_000_000)
    graph = store.claim()
    assert graph is not None and graph.identifier == waiting.identifier and store.claim() is None
    for each in created:
        store.cancel(each.identifier)
    assert store.user_of("d1") is None
