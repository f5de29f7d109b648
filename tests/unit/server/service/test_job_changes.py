"""A watch of all jobs tells each as it is, and then what changes, of one tenant and of what its filter asks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from headstart_server.core.executors import Executors
from headstart_server.core.filters import parse
from headstart_server.core.states import State
from headstart_server.engines.events import StateChange
from headstart_server.jobs import log_writer
from headstart_server.jobs.filtering import FIELDS, SEARCHED
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.store import JobStore
from headstart_server.service import job_changes
from headstart_server.service.job_changes import JobChanges

from tests.support.fake_workers import job_record
from tests.support.job_logs import owned

Found = AsyncGenerator[list[JobRecord | str], None]


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[JobStore]:
    monkeypatch.setattr(job_changes, "PACE", 0.01)
    opened = JobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    yield opened
    opened.close()


def watch(store: JobStore, text: str = "", idle: float = 0.0, closed: Any = lambda: False) -> Found:
    changes = JobChanges(store, Executors().store, "a", parse(text, FIELDS, SEARCHED), closed)
    return changes.follow(idle)


async def told(found: Found) -> list[str]:
    """`ID STATE` of jobs, and the ids of those that are gone, of the next change."""
    items = await asyncio.wait_for(anext(found), 60)
    return [f"{item.identifier} {item.state}" if isinstance(item, JobRecord) else item for item in items]


async def test_jobs_are_told_as_they_are_and_as_they_change(store: JobStore) -> None:
    first, other, second = (store.create(job_record(tenant=tenant))[0].identifier for tenant in ("a", "b", "a"))
    found = watch(store)
    assert await told(found) == [f"{first} QUEUED", f"{second} QUEUED"]
    store.cancel(other)
    store.cancel(second)
    assert await told(found) == [f"{second} CANCELLED"]
    third = store.create(job_record(tenant="a"))[0].identifier
    assert await told(found) == [f"{third} QUEUED"]
    store.update(first, lambda _: {"labels": {"team": "x"}})
    assert await told(found) == [f"{first} QUEUED"]
    store.delete(second)
    assert await told(found) == [second]
    await found.aclose()


async def test_a_change_by_a_server_whose_clock_is_behind_is_told(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (store.create(job_record(tenant="a"))[0].identifier for _ in range(2))
    found = watch(store)
    await told(found)
    store.update(second, lambda _: {"description": "now"})
    assert await told(found) == [f"{second} QUEUED"]

    class Behind(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) - timedelta(seconds=20)

    monkeypatch.setattr(log_writer, "datetime", Behind)
    store.cancel(first)
    assert await told(found) == [f"{first} CANCELLED"]
    await found.aclose()


async def test_a_model_is_named_as_in_a_list(store: JobStore) -> None:
    job = store.create(replace(job_record(tenant="a"), model="m1"))[0].identifier
    found = watch(store, 'model = "models/m1"')
    assert await told(found) == [f"{job} QUEUED"]
    store.update(job, lambda _: {"description": "changed"})
    assert await told(found) == [f"{job} QUEUED"]
    await found.aclose()


async def test_a_job_that_no_longer_matches_is_told_once_as_gone(store: JobStore) -> None:
    job = store.create(job_record(tenant="a"))[0].identifier
    found = watch(store, "state = QUEUED OR state = TRAINING")
    assert await told(found) == [f"{job} QUEUED"]
    attempt = owned(store, job).attempt
    store.append_reports(job, [StateChange(State.PREPARING)], attempt)
    assert await told(found) == [job]
    store.append_reports(job, [StateChange(State.ENCODING)], attempt)
    store.append_reports(job, [StateChange(State.TRAINING)], attempt)
    assert await told(found) == [f"{job} TRAINING"]
    await found.aclose()


async def test_silence_is_told_where_it_is_asked_for_and_a_server_that_stops_ends_the_watch(store: JobStore) -> None:
    stopping: list[bool] = []
    found = watch(store, idle=0.03, closed=lambda: bool(stopping))
    assert [await told(found) for _ in range(3)] == [[], [], []]
    stopping.append(True)
    with pytest.raises(StopAsyncIteration):
        while True:
            await told(found)


async def test_more_changes_than_are_read_at_once_are_all_told(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_changes, "MOST", 2)
    found = watch(store)
    assert await told(found) == []
    made = [store.create(job_record(tenant="a"))[0].identifier for _ in range(5)]
    seen: list[str] = []
    while len(seen) < 5:
        seen += await told(found)
    assert sorted(seen) == sorted(f"{job} QUEUED" for job in made)
    await found.aclose()
