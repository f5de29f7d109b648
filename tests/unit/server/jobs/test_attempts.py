"""A server holds on to what it runs until the end is written, and to the newest of its attempts alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from headstart_server.core.errors import OverloadedError, UnavailableError
from headstart_server.core.states import State
from headstart_server.jobs.log_writer import Appended
from headstart_server.jobs.store import JobStore
from headstart_server.jobs.tables import JOBS
from sqlalchemy import delete, update

from tests.support.fake_workers import SUCCEEDED, FakeWorker, Message, state, trains_until_cancelled
from tests.support.supervised import Start, ended, submitted, until
from tests.unit.server.jobs.test_deaths import warnings


async def test_the_lease_of_a_job_is_renewed_until_its_end_is_written(
    start: Start, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the database is away, or its disk full, for longer than a lease."""
    end, written = store.end, threading.Event()

    def later(*args: Any, **kwargs: Any) -> Appended:
        if not written.is_set():
            raise UnavailableError("the job database does not answer")
        return end(*args, **kwargs)

    monkeypatch.setattr(store, "end", later)
    supervisor, pool = await start(lease_seconds=0.3)
    identifier = await submitted(supervisor)
    await until(lambda: len(pool.returned) == 1)
    await asyncio.sleep(1)
    assert (store.get(identifier).owner != "", store.get(identifier).attempt) == (True, 1)
    written.set()
    job = await ended(supervisor, store, identifier)
    assert (job.state, job.attempt, len(pool.taken)) == (State.SUCCEEDED, 1, 1)


async def test_a_job_that_was_paused_and_resumed_before_it_had_a_worker_has_one_attempt_that_counts(
    start: Start, store: JobStore
) -> None:
    supervisor, pool = await start(trains_until_cancelled, trains_until_cancelled, concurrent_jobs=2, lease_seconds=0.3)
    pool.room.clear()
    identifier = await submitted(supervisor)
    await until(lambda: store.get(identifier).attempt == 1)
    await supervisor.pause(identifier)
    await supervisor.resume(identifier)
    await until(lambda: store.get(identifier).attempt == 2)
    pool.room.set()
    await until(lambda: store.get(identifier).state is State.TRAINING)
    await asyncio.sleep(1)  # several leases
    job = store.get(identifier)
    assert (job.state, job.attempt, warnings(store, identifier)) == (State.TRAINING, 2, [])
    await supervisor.cancel(identifier)
    assert (await ended(supervisor, store, identifier)).state is State.CANCELLED


async def test_an_attempt_whose_job_is_another_servers_by_now_publishes_nothing(start: Start, store: JobStore) -> None:
    """As one that stood still with its server, and wakes up when the other has finished."""
    wakes = asyncio.Event()

    async def publishes(worker: FakeWorker) -> AsyncIterator[Message]:
        yield state("PREPARING")
        yield state("TRAINING")
        await wakes.wait()
        yield state("PUBLISHING")
        await worker.may_publish.wait()
        yield SUCCEEDED

    supervisor, pool = await start(publishes, publishes)
    stale = await submitted(supervisor)
    await until(lambda: store.get(stale).state is State.TRAINING)
    with store.database.writing() as connection:
        connection.execute(update(JOBS).values(owner="another", attempt=2))
    wakes.set()
    await asyncio.wait_for(pool.taken[0].killed.wait(), 60)
    assert not pool.taken[0].may_publish.is_set()
    with store.database.writing() as connection:
        connection.execute(delete(JOBS))
    sound = await submitted(supervisor)
    assert (await ended(supervisor, store, sound)).state is State.SUCCEEDED
    assert pool.taken[1].may_publish.is_set()


async def test_a_paused_job_is_resumed_only_where_another_may_wait(start: Start, store: JobStore) -> None:
    supervisor, pool = await start(trains_until_cancelled, max_queued=1)
    pool.room.clear()
    running = await submitted(supervisor)
    await until(lambda: store.get(running).owner != "")
    paused = await submitted(supervisor)
    await supervisor.pause(paused)
    waiting = await submitted(supervisor)
    with pytest.raises(OverloadedError):
        await supervisor.resume(paused)
    assert store.get(paused).state is State.PAUSED
    await supervisor.cancel(waiting)
    assert (await supervisor.resume(paused)).state is State.QUEUED
    # the one that waits first: with room it might run, and succeed, before anybody cancels it
    for identifier in (paused, running):
        await supervisor.cancel(identifier)
    pool.room.set()
