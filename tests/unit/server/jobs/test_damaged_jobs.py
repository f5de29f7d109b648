"""A job whose record is damaged costs itself alone: lists leave it out, reading it says what to do, deleting works."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from headstart_server.core.errors import DataLossError, NotFoundError
from headstart_server.core.states import State
from headstart_server.data.source import SourceRecord
from headstart_server.engines.events import StateChange
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.store import JobStore
from headstart_server.jobs.tables import JOBS
from headstart_server.rpc.jobs import event_message, job_message

from tests.support.fake_workers import job_record
from tests.support.job_logs import owned
from tests.support.scraped import damaged
from tests.support.supervised import Start

SPEC = {"input_features": [{"name": "a", "type": "number"}], "trainer": {"epochs": 3}}
DAMAGES = [
    *((column, '{"a') for column in ("spec", "sources", "resolved", "best_epoch", "error", "encode", "labels", "step")),
    *((column, "[7]") for column in ("spec", "sources", "resolved", "best_epoch", "error", "encode", "source_rows")),
    *((column, "never") for column in ("state", "create_time", "end_time", "deadline")),
    ("spec", '{"inpud_features": []}'),
    ("spec", '{"trainer": {"epochs": "many"}}'),
    ("best_epoch", '{"epoch": 1, "besu": true}'),
    ("error", '{"reasom": "X"}'),
]


def stored(store: JobStore) -> list[JobRecord]:
    """Three ended jobs, newest first."""
    jobs = []
    for _ in range(3):
        job, _ = store.create(job_record(spec=SPEC, sources=[SourceRecord("dataset", "/data/rows.csv", "csv")]))
        store.append(owned(store, job.identifier).identifier, StateChange(State.PREPARING))
        jobs.append(store.end(job.identifier, State.CANCELLED, attempt=1)[0])
    return sorted(jobs, key=lambda job: job.identifier, reverse=True)


def damage(database: Path, job: JobRecord, column: str, value: str, table: str = "jobs") -> None:
    key = "identifier" if table == "jobs" else "job"
    with sqlite3.connect(database) as connection:
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (value, job.identifier))
    connection.close()


@pytest.mark.parametrize(("column", "value"), DAMAGES)
async def test_a_damaged_record_costs_its_job_alone(
    store: JobStore, database: Path, start: Start, column: str, value: str
) -> None:
    first, hurt, last = stored(store)
    damage(database, hurt, column, value)
    listed = [job.identifier for job in store.newest(2, readable=job_message)]
    assert listed == [first.identifier, last.identifier]
    assert damaged("trainJobs") == 1
    with pytest.raises(DataLossError, match=f"trainJobs/{hurt.identifier} is damaged: .* or delete the job"):
        job_message(store.get(hurt.identifier))
    supervisor, _ = await start()
    await supervisor.delete(hurt.identifier)
    with pytest.raises(NotFoundError):
        store.get(hurt.identifier)
    assert damaged("trainJobs") == 0


@pytest.mark.parametrize(("column", "value"), [("data", '{"to'), ("data", "[1]"), ("time", "never"), ("kind", "model")])
def test_a_damaged_event_is_named(store: JobStore, database: Path, column: str, value: str) -> None:
    _, hurt, _ = stored(store)
    damage(database, hurt, column, value, "events")
    with pytest.raises(DataLossError, match=f"trainJobs/{hurt.identifier} is damaged"):
        [event_message(hurt.identifier, event) for event in store.events(hurt.identifier, 0)]


def test_every_column_of_json_and_time_is_damaged_above() -> None:
    plain = {"identifier", "request_id", "request_digest", "display_name", "model", "last_sequence"}
    plain |= {"tenant", "owner", "lease_until", "attempt", "restarts", "halvings"}
    plain |= {"description", "creator", "priority", "ttl", "initial_model"}
    same_code = {"update_time", "start_time"}
    assert {column for column, _ in DAMAGES} == {column.name for column in JOBS.columns} - plain - same_code


async def test_a_server_starts_over_an_unfinished_job_whose_record_is_damaged(
    store: JobStore, database: Path, start: Start
) -> None:
    job, _ = store.create(job_record(spec=SPEC))
    damage(database, job, "sources", "{")
    await start()
    assert store.newest(10) == []
