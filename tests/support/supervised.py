"""Jobs that a supervisor runs with workers made of scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from headstart_server.engines.events import StateChange
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.store import JobStore
from headstart_server.jobs.supervisor import Supervisor

from tests.support.fake_workers import FakePool, job_record

Start = Callable[..., Awaitable[tuple[Supervisor, FakePool]]]


async def ended(supervisor: Supervisor, store: JobStore, identifier: str) -> JobRecord:
    """The job once its log has ended."""
    async with asyncio.timeout(60):
        async for _ in supervisor.watch(identifier, 0):
            pass
    return store.get(identifier)


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something to come true."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


async def submitted(supervisor: Supervisor, **changes: Any) -> str:
    """The id of a new job."""
    job, new = await supervisor.submit(job_record(**changes))
    assert new
    return job.identifier


def log_of(store: JobStore, identifier: str) -> list[str]:
    """Where a job has been."""
    events = (entry.event for entry in store.events(identifier, 0, limit=10_000))
    return [event.to for event in events if isinstance(event, StateChange)]
