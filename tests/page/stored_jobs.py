"""Jobs that are put into a server's store before it starts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from headstart_server.core.names import new_id
from headstart_server.core.states import State
from headstart_server.engines.events import JobFailure, RowCounts, SpecResolved, StateChange
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.store import JobStore
from headstart_server.planning.resolution import Origin, ResolvedValue
from headstart_server.training.reports import EpochReport

from tests.support import reviews

_START = datetime(2026, 1, 1, tzinfo=UTC)
_RESOLVED = SpecResolved(
    reviews.spec(),
    [
        ResolvedValue(f"trainer.value_{number}", number, Origin.RULE, "as many as a real job has")
        for number in range(32)
    ],
    RowCounts(3, 2, 1),
)


def store_failed_job(state: Path) -> str:
    """Stores a job that failed by a field; returns its id."""
    job, store = _job(0), _store(state)
    store.create(job)
    for entered in (State.PREPARING, State.TRAINING):
        store.append(job.identifier, StateChange(entered))
    failure = JobFailure("NON_FINITE_LOSS", "the loss is not finite; use a lower rate", "trainer.learning_rate")
    store.append(job.identifier, StateChange(State.FAILED, error=failure))
    store.close()
    return job.identifier


def store_finished_jobs(state: Path, count: int) -> list[str]:
    """Stores jobs that have succeeded; returns their ids, newest first."""
    store, found = _store(state), []
    for index in range(count):
        job = replace(_job(index), state=State.SUCCEEDED, best_epoch=_epoch(index), resolved=_RESOLVED)
        store.create(job)
        found.append(job.identifier)
    store.close()
    return sorted(found, reverse=True)


def _store(state: Path) -> JobStore:
    state.mkdir(parents=True, exist_ok=True)
    return JobStore(f"sqlite:///{state / 'headstart.sqlite'}")


def _job(index: int) -> JobRecord:
    created = _START + timedelta(minutes=index)
    return JobRecord(
        new_id(), "", "digest", f"run {index}", State.QUEUED, created, created, reviews.spec(), [],
        start_time=created, end_time=None,
    )  # fmt: skip


def _epoch(index: int) -> EpochReport:
    return EpochReport(3, 60, {"loss": 0.4}, {"loss": 0.5, "verdict.accuracy": 0.5 + index / 10_000}, best=True)
