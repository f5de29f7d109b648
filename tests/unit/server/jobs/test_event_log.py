"""Watching: everything once and in order, at the watcher's own pace, and nothing kept for those who have gone."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest
from headstart_server.core.errors import NotFoundError, OverloadedError
from headstart_server.core.executors import Executor
from headstart_server.core.states import State
from headstart_server.engines.events import JobEvent, StateChange
from headstart_server.jobs.event_log import EventLog
from headstart_server.jobs.records import JobRecord, LogEntry
from headstart_server.jobs.store import JobStore

from tests.support.fake_workers import step_report
from tests.support.job_logs import created
from tests.support.supervised import until

THREADS = Executor("store", 4, 100)


class CountedStore:
    """A store that remembers how many events it gave out at a time."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self.pages: list[int] = []

    def get(self, identifier: str) -> JobRecord:
        return self._store.get(identifier)

    def events(self, identifier: str, after: int) -> list[LogEntry]:
        found = self._store.events(identifier, after)
        self.pages.append(len(found))
        return found


def running(store: JobStore) -> str:
    return created(store, "PREPARING").identifier


def steps(count: int) -> list[JobEvent]:
    return list(map(step_report, range(count)))


def numbers(entries: list[LogEntry]) -> list[int]:
    return [entry.sequence for entry in entries]


async def read(log: EventLog, identifier: str, after: int = 0) -> list[int]:
    return [number async for entries in log.watch(identifier, after) for number in numbers(entries)]


async def test_any_number_of_watchers_see_the_same_log_to_its_end(store: JobStore) -> None:
    log, identifier = EventLog(store, THREADS, THREADS), running(store)
    watchers = [asyncio.create_task(read(log, identifier, after)) for after in (0, 0, 3)]
    for _ in range(5):
        await asyncio.sleep(0.01)
        await log.write(store.append_reports, identifier, steps(2), attempt=1)
    await log.write(store.end, identifier, State.CANCELLED, attempt=1)
    assert [await watcher for watcher in watchers] == [list(range(1, 14)), list(range(1, 14)), list(range(4, 14))]


async def test_a_slow_watcher_holds_one_page_however_much_is_written(store: JobStore) -> None:
    counted: Any = CountedStore(store)
    identifier = running(store)
    log = EventLog(counted, THREADS, THREADS)
    watch: Any = log.watch(identifier, 0)
    assert numbers(await anext(watch)) == [1, 2]
    for _ in range(5):
        await log.write(store.append_reports, identifier, steps(1_000), attempt=1)
    assert counted.pages == [2]  # what it was given before, no more
    assert [number for _ in range(2) for number in numbers(await anext(watch))] == list(range(3, 403))
    assert counted.pages == [2, 200, 200]
    await watch.aclose()


async def test_those_who_have_caught_up_share_what_is_written_without_reading_the_store(store: JobStore) -> None:
    counted: Any = CountedStore(store)
    log, identifier = EventLog(counted, THREADS, THREADS), running(store)
    watchers = [asyncio.create_task(read(log, identifier)) for _ in range(10)]
    # each reads what there is, and then that there is nothing more
    await until(lambda: len(counted.pages) == 20)
    for _ in range(20):
        await log.write(store.append_reports, identifier, steps(3), attempt=1)
    await log.write(store.end, identifier, State.CANCELLED, attempt=1)
    assert await asyncio.gather(*watchers) == [list(range(1, 64))] * 10
    assert len(counted.pages) == 20


async def test_reports_that_come_fast_are_given_together_and_a_change_of_state_at_once(store: JobStore) -> None:
    log, identifier = EventLog(store, THREADS, THREADS, pace=3_600), running(store)
    watch = log.watch(identifier, 2)
    given: list[list[int]] = []

    async def follow() -> None:
        given.extend([numbers(entries) async for entries in watch])

    watcher = asyncio.create_task(follow())
    await asyncio.sleep(0.05)
    for _ in range(10):
        await log.write(store.append_reports, identifier, steps(1), attempt=1)
    await log.write(store.append_reports, identifier, [StateChange(State.ENCODING)], attempt=1)
    await log.write(store.end, identifier, State.CANCELLED, attempt=1)
    await watcher
    assert [number for numbers_ in given for number in numbers_] == list(range(3, 15))
    assert len(given) <= 4  # the first report, the others with the change of state, and the end


async def test_writes_that_are_heard_of_in_the_other_order_leave_no_gap(store: JobStore) -> None:
    identifier = running(store)
    log = EventLog(store, THREADS, THREADS)
    watcher = asyncio.create_task(read(log, identifier))
    await asyncio.sleep(0.05)
    first_stored, second_done = threading.Event(), asyncio.Event()

    def late(job: str, events: list[JobEvent]) -> Any:
        appended = store.append_reports(job, events, attempt=1)
        first_stored.set()
        asyncio.run_coroutine_threadsafe(second_done.wait(), loop).result()
        return appended

    loop = asyncio.get_running_loop()
    slow = asyncio.create_task(log.write(late, identifier, steps(2)))
    await loop.run_in_executor(None, first_stored.wait)
    await log.write(store.append_reports, identifier, steps(2), attempt=1)
    second_done.set()
    await slow
    await log.write(store.end, identifier, State.CANCELLED, attempt=1)
    assert await watcher == list(range(1, 8))


async def test_who_has_watched_leaves_nothing_behind(store: JobStore) -> None:
    log = EventLog(store, THREADS, THREADS)
    for _ in range(3):
        identifier = running(store)
        await log.write(store.end, identifier, State.CANCELLED, attempt=1)
        assert await read(log, identifier) == [1, 2, 3]
    gone = asyncio.create_task(read(log, running(store)))
    await until(lambda: log.watched == 1)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    del gone
    await asyncio.sleep(0)
    gc.collect()
    assert log.watched == 0


async def test_a_watch_after_the_end_ends_at_once(store: JobStore) -> None:
    log, identifier = EventLog(store, THREADS, THREADS), running(store)
    await log.write(store.end, identifier, State.CANCELLED, attempt=1)
    assert await read(log, identifier, after=3) == []
    assert await read(log, identifier, after=99) == []


async def test_closing_ends_every_watch(store: JobStore) -> None:
    log, identifier = EventLog(store, THREADS, THREADS), running(store)
    watch: Any = log.watch(identifier, 0)
    assert numbers(await anext(watch)) == [1, 2]
    more = asyncio.create_task(anext(watch, None))
    await asyncio.sleep(0.05)
    log.close()
    assert await asyncio.wait_for(more, 60) is None
    assert await read(log, identifier) == []


async def test_a_job_that_is_not_there_cannot_be_watched(store: JobStore) -> None:
    with pytest.raises(NotFoundError):
        await read(EventLog(store, THREADS, THREADS), "nothing")


async def test_what_jobs_report_is_written_though_the_line_of_clients_is_full(store: JobStore) -> None:
    reads, go_on, identifier = Executor("store", 1, 1), threading.Event(), running(store)
    log = EventLog(store, reads, THREADS)
    clients = [asyncio.create_task(reads.run(go_on.wait)) for _ in range(2)]
    await asyncio.sleep(0.05)
    with pytest.raises(OverloadedError):
        await reads.run(store.get, identifier)
    assert (await log.write(store.append_reports, identifier, steps(2), attempt=1)).last_sequence == 4
    go_on.set()
    await asyncio.gather(*clients)
    reads.close()
