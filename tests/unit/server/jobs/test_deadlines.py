"""Jobs that have run out of time fail, whoever runs them; those that ended long enough ago are named for deletion."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from headstart_server.core.reasons import Reason
from headstart_server.core.states import State
from headstart_server.engines.events import StateChange
from headstart_server.jobs.deadlines import end_overdue
from headstart_server.jobs.ownership import Ownership
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.store import JobStore

from tests.support.fake_workers import job_record
from tests.support.job_logs import owned

NOW = datetime.now(UTC)
PAST = {"create_time": NOW - timedelta(seconds=70), "deadline": NOW - timedelta(seconds=10)}


@pytest.fixture
def store(database_url: str) -> Iterator[JobStore]:
    """On SQLite, and on PostgreSQL."""
    opened = JobStore(database_url, migrate=True)
    yield opened
    opened.close()


def running(store: JobStore) -> JobRecord:
    """A job past its deadline that a worker prepares."""
    job = owned(store, store.create(job_record(**PAST))[0].identifier)
    return store.append(job.identifier, StateChange(State.PREPARING))[0]


def test_a_job_that_waits_past_its_deadline_fails_by_name(store: JobStore) -> None:
    late, early, endless = (
        store.create(job_record(**given))[0] for given in (PAST, {**PAST, "deadline": NOW + timedelta(hours=1)}, {})
    )
    [(failed, events)] = end_overdue(store.database)
    assert (failed.identifier, failed.state, len(events)) == (late.identifier, State.FAILED, 1)
    assert failed.error is not None and failed.error.reason == Reason.DEADLINE_EXCEEDED
    assert "60 s after it was created" in failed.error.message
    assert [store.get(job.identifier).state for job in (early, endless)] == [State.QUEUED] * 2
    assert end_overdue(store.database) == []


def test_the_clock_is_the_one_that_servers_share(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose own is fast ends nobody's jobs."""
    early = store.create(job_record(**{**PAST, "deadline": NOW + timedelta(hours=1)}))[0]
    assert abs(store.moment() - datetime.now(UTC)) < timedelta(minutes=1)
    assert end_overdue(store.database) == []
    monkeypatch.setattr(store.database, "now", lambda connection: (NOW + timedelta(hours=2)).timestamp())
    [(failed, _)] = end_overdue(store.database)
    assert failed.identifier == early.identifier


@pytest.mark.parametrize("how", ["ended", "went back", "its server is gone"])
def test_a_job_that_runs_is_asked_to_stop_and_fails_once_it_has(store: JobStore, how: str) -> None:
    job = running(store)
    [(asked, _)] = end_overdue(store.database)
    assert asked.state is State.CANCELLING
    assert end_overdue(store.database) == []
    failed: JobRecord
    match how:
        case "ended":
            failed, _ = store.end(job.identifier, State.CANCELLED, attempt=job.attempt)
        case "went back":
            failed, _ = store.end(job.identifier, State.QUEUED, attempt=job.attempt)
        case _:
            [(failed, _)] = Ownership(store.database, "other", 30.0).reap(alone=True)
    assert (failed.state, failed.error and failed.error.reason) == (State.FAILED, Reason.DEADLINE_EXCEEDED)


def test_one_that_was_cancelled_before_its_deadline_stays_cancelled(store: JobStore) -> None:
    job = running(store)
    store.cancel(job.identifier)
    assert end_overdue(store.database) == []
    assert store.end(job.identifier, State.FAILED, attempt=job.attempt)[0].state is State.CANCELLED


def test_cancelling_may_be_repeated_and_changes_nothing(store: JobStore) -> None:
    job, _ = store.create(job_record())
    cancelled, events = store.cancel(job.identifier)
    assert (cancelled.state, len(events)) == (State.CANCELLED, 1)
    assert store.cancel(job.identifier) == (cancelled, [])


def test_jobs_are_kept_for_their_time_to_live(store: JobStore) -> None:
    short, long, kept = (store.create(job_record(ttl=seconds))[0].identifier for seconds in (0.0, 3_600.0, None))
    assert store.expired() == []
    for job in (short, long, kept):
        store.cancel(job)
    assert store.expired() == [short]


def test_of_a_tenants_jobs_that_wait_the_highest_priority_is_first(store: JobStore) -> None:
    jobs = [
        store.create(job_record(tenant=tenant, priority=priority))[0].identifier
        for tenant, priority in (("a", 0), ("a", 5), ("a", 5), ("b", 100))
    ]
    assert [store.jobs_before(job) for job in jobs] == [2, 0, 1, 3]
    store.update(jobs[2], lambda _: {"priority": 7})
    claims = Ownership(store.database, "server", 30.0)
    taken = [job.identifier for job in iter(claims.claim, None)]
    assert taken == [jobs[2], jobs[3], jobs[1], jobs[0]]
