"""Jobs in a store, and what their logs hold."""

from __future__ import annotations

from headstart_server.core.states import State
from headstart_server.engines.events import StateChange
from headstart_server.jobs.log_writer import append
from headstart_server.jobs.queries import get
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.store import JobStore
from headstart_server.training.reports import StepReport

from tests.support.fake_workers import job_record


def owned(store: JobStore, identifier: str, owner: str = "somebody") -> JobRecord:
    """A stored job in its next attempt, by a server that holds it for a minute."""
    with store.database.writing() as connection:
        job, until = get(connection, identifier), store.database.now(connection) + 60
        return append(connection, job, [], owner=owner, lease_until=until, attempt=job.attempt + 1)[0]


def created(store: JobStore, *states: str) -> JobRecord:
    """A stored job that went through some states, if any in its first attempt."""
    job, _ = store.create(job_record())
    job = owned(store, job.identifier) if states else job
    for state in states:
        job, _ = store.append(job.identifier, StateChange(State(state)))
    return job


def numbers(store: JobStore, job: JobRecord, after: int, limit: int = 200) -> list[int]:
    """Numbers of the steps after an event."""
    events = (entry.event for entry in store.events(job.identifier, after, limit))
    return [event.step for event in events if isinstance(event, StepReport)]


def sequences(store: JobStore, job: JobRecord, after: int = 0) -> list[int]:
    """Of the events after one."""
    return [event.sequence for event in store.events(job.identifier, after, limit=10_000)]
