"""Exports whose server or process is no more: made again, given up, or ended."""

from __future__ import annotations

import asyncio

import pytest
from headstart_server.jobs.export_records import ExportState
from headstart_server.jobs.export_store import ExportStore

from tests.support.begun_exports import (
    EXPORTS,
    HANGS,
    OTHER,
    PUBLISHES,
    Begin,
    gone,
    process_of,
)


async def test_a_server_that_stops_gives_its_exports_back_and_the_next_one_makes_them(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headstart_server.jobs.exports._RELEASE_SECONDS", 60)
    here = await begin(HANGS)
    identifier, waiting = await here.create(), await here.create(OTHER)
    running = await here.until(identifier, "load")
    watch = here.exports.watch(identifier)
    await anext(watch)
    await here.exports.close()
    await gone(process_of(running))
    assert [job async for job in watch] == [] and here.exports.interrupted
    stopped = here.store.get(identifier)
    assert (stopped.state, stopped.attempt, stopped.jobs_before) == (ExportState.QUEUED, 0, 0)
    assert here.left == []
    after = await begin(PUBLISHES, owner="two")
    for job in (identifier, waiting):
        assert (await after.followed(job))[-1].state is ExportState.SUCCEEDED


async def test_an_export_whose_server_died_is_made_again_a_few_times(begin: Begin) -> None:
    here = await begin(HANGS)
    await here.exports.close()
    identifier = await here.create()
    for server in ("died", "died too"):
        assert ExportStore(here.store.database, server).claim() is not None
        assert [job.state for job in ExportStore(here.store.database, "next").reap(alone=True)] == [ExportState.QUEUED]
    assert ExportStore(here.store.database, "died as well").claim() is not None
    after = await begin(PUBLISHES, owner="last")
    ended = (await after.followed(identifier))[-1]
    assert ended.state is ExportState.FAILED and ended.error is not None
    assert ended.error.reason == "EXPORT_DIED" and "3 servers" in ended.error.message


async def test_who_has_lost_an_export_ends_its_process_and_writes_no_more(begin: Begin) -> None:
    here = await begin(HANGS)
    identifier = await here.create()
    running = await here.until(identifier, "load")
    other = ExportStore(here.store.database, "other")
    assert [job.identifier for job in other.reap(alone=True)] == [identifier]
    taken = other.claim()
    assert taken is not None and taken.attempt == running.attempt + 1
    await here.exports._check(here.store.held)
    await gone(process_of(running))
    assert here.store.get(identifier).state is ExportState.RUNNING


async def test_idle_processes_end_after_a_while(begin: Begin) -> None:
    here = await begin(EXPORTS, idle_seconds=0.0)
    await here.followed(await here.create())
    async with asyncio.timeout(20):
        while here.exports.worker_pids:
            await asyncio.sleep(0.01)
