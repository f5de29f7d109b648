"""Jobs that stop before their end and go on later: paused ones, and those whose attempt has failed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.states import State
from headstart_server.engines.events import EncodeReport, JobEvent, StateChange
from headstart_server.jobs.records import LogEntry
from headstart_server.jobs.store import JobStore
from headstart_server.training.reports import EpochReport, JobWarning

from tests.support.fake_workers import step_report, trains_until_paused
from tests.support.job_logs import created, owned
from tests.support.supervised import Start, submitted, until


@pytest.fixture
def store(database_url: str) -> Iterator[JobStore]:
    """On SQLite, and on PostgreSQL."""
    opened = JobStore(database_url, migrate=True)
    yield opened
    opened.close()


def of(entries: list[LogEntry]) -> list[JobEvent]:
    return [entry.event for entry in entries]


def steps(*numbers: int) -> list[JobEvent]:
    return list(map(step_report, numbers))


def epoch(number: int) -> EpochReport:
    return EpochReport(number, 10 * number, {}, {})


def test_a_paused_job_waits_for_its_resumption(store: JobStore) -> None:
    job = created(store, "PREPARING", "TRAINING")
    assert store.pause(job.identifier)[0].state is State.PAUSING
    assert store.pause(job.identifier)[1] == []
    after, appended = store.append_reports(job.identifier, [StateChange(State.PUBLISHING), *steps(1)], attempt=1)
    assert (after.state, of(appended)) == (State.PAUSING, steps(1))
    with pytest.raises(FailedPreconditionError, match="resume it once it is PAUSED"):
        store.resume(job.identifier)
    paused, _ = store.end(job.identifier, State.PAUSED, attempt=1)
    assert (paused.state, paused.owner, paused.end_time) == (State.PAUSED, "", None)
    assert store.resume(job.identifier)[0].state is State.QUEUED
    assert store.resume(job.identifier)[1] == []
    assert store.pause(job.identifier)[0].state is State.PAUSED
    assert store.cancel(job.identifier)[0].state is State.CANCELLED
    for call in (store.pause, store.resume):
        with pytest.raises(FailedPreconditionError, match="has ended"):
            call(job.identifier)


def test_a_job_that_is_to_pause_and_cannot_go_on_is_paused(store: JobStore) -> None:
    job = created(store, "PREPARING", "PAUSING")
    after, appended = store.go_on(job.identifier, JobWarning("WORKER_RESTARTED", ""), attempt=1)
    assert (after.state, after.owner) == (State.PAUSED, "")
    assert len(appended) == 2


def test_what_a_job_achieves_clears_its_restarts(store: JobStore) -> None:
    job = created(store, "PREPARING")
    for report, left in ((EncodeReport(9, seen=9, found=9), 1), (EncodeReport(9, seen=9, encoded=1), 0), (epoch(1), 0)):
        after, _ = store.go_on(job.identifier, JobWarning("WORKER_RESTARTED", ""), attempt=job.attempt)
        assert (after.state, after.restarts) == (State.QUEUED, 1)
        job = owned(store, job.identifier)
        after, _ = store.append_reports(job.identifier, [StateChange(State.PREPARING), report], attempt=job.attempt)
        assert after.restarts == left
        store.append(job.identifier, epoch(5))


async def test_a_job_that_is_cancelled_while_it_waits_leaves_no_model_of_an_attempt_that_died(
    start: Start, store: JobStore
) -> None:
    supervisor, _ = await start(trains_until_paused)
    identifier = await submitted(supervisor)
    await until(lambda: store.get(identifier).state is State.TRAINING)
    await supervisor.pause(identifier)
    await until(lambda: store.get(identifier).state is State.PAUSED)
    models = supervisor._storage.models
    with models.publish(identifier) as folder:
        (folder / "bundle.json").touch()
    assert (await supervisor.cancel(identifier)).state is State.CANCELLED
    assert identifier not in models
    with models.publish(identifier) as folder:  # by an attempt that was cut off
        (folder / "bundle.json").touch()
    await supervisor.delete(identifier)
    assert identifier not in models
