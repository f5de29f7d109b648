"""A database of another version is upgraded with all it holds, or refused untouched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.jobs import schema
from headstart_server.jobs.database import connect
from headstart_server.jobs.store import JobStore
from sqlalchemy.engine import Connection

from tests.support.job_logs import created

RELEASED_1 = """
CREATE TABLE jobs (
    identifier VARCHAR(32) NOT NULL PRIMARY KEY, request_id VARCHAR(128) UNIQUE, request_digest VARCHAR(64) NOT NULL,
    display_name VARCHAR(128) NOT NULL, state VARCHAR(16) NOT NULL, create_time VARCHAR(40) NOT NULL,
    update_time VARCHAR(40) NOT NULL, start_time VARCHAR(40), end_time VARCHAR(40), spec TEXT NOT NULL,
    sources TEXT NOT NULL, resolved TEXT NOT NULL, model VARCHAR(32) NOT NULL, best_epoch TEXT NOT NULL,
    error TEXT NOT NULL, encode TEXT NOT NULL, last_sequence INTEGER NOT NULL);
CREATE INDEX ix_jobs_state ON jobs (state);
CREATE TABLE events (
    job VARCHAR(32) NOT NULL, sequence INTEGER NOT NULL, time VARCHAR(40) NOT NULL, kind VARCHAR(16) NOT NULL,
    data TEXT NOT NULL, UNIQUE (job, sequence));
"""
"""The tables of version 1, which had no note of its version."""


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def statements(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()


def version_of(path: Path) -> list[tuple[int]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT version FROM schema_version").fetchall()


def test_a_new_database_has_the_current_version(tmp_path: Path) -> None:
    JobStore(url_of(tmp_path / "new")).close()
    assert version_of(tmp_path / "new") == [(schema.CURRENT,)]


def test_a_database_of_version_1_is_upgraded_with_its_jobs(tmp_path: Path) -> None:
    path = tmp_path / "old"
    store = JobStore(url_of(tmp_path / "written"))
    stored = created(store)
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(RELEASED_1)
        connection.execute("ATTACH ? AS written", (str(tmp_path / "written"),))
        for table in ("jobs", "events"):
            connection.execute(f"INSERT INTO {table} SELECT * FROM written.{table}")
        connection.commit()
    for _ in range(2):  # the second start finds the current version
        upgraded = JobStore(url_of(path))
        assert upgraded.get(stored.identifier) == stored
        upgraded.close()
        assert version_of(path) == [(schema.CURRENT,)]


def test_steps_are_made_in_order_each_once(tmp_path: Path) -> None:
    done: list[int] = []

    def step(number: int) -> object:
        def make(connection: Connection) -> None:
            connection.exec_driver_sql(f"ALTER TABLE jobs ADD COLUMN added_{number} TEXT")
            done.append(number)

        return make

    engine = connect(url_of(tmp_path / "jobs"))
    schema.prepare(engine)
    later = {schema.CURRENT + index: step(schema.CURRENT + index) for index in range(2)}
    for _ in range(2):
        schema.prepare(engine, schema.CURRENT + 2, later)  # type: ignore[arg-type]
    assert done == list(later)
    engine.dispose()


def test_a_step_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    def fail(connection: Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE jobs ADD COLUMN added TEXT")
        raise ZeroDivisionError

    engine = connect(url_of(tmp_path / "jobs"))
    schema.prepare(engine)
    before = statements(tmp_path / "jobs")
    with pytest.raises(ZeroDivisionError):
        schema.prepare(engine, schema.CURRENT + 1, {schema.CURRENT: fail})
    engine.dispose()
    assert statements(tmp_path / "jobs") == before
    assert version_of(tmp_path / "jobs") == [(schema.CURRENT,)]


def test_a_database_of_a_later_version_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "later"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE schema_version (version INTEGER NOT NULL PRIMARY KEY)")
        connection.execute("INSERT INTO schema_version VALUES (99)")
        connection.commit()
    before = statements(path)
    with pytest.raises(FailedPreconditionError, match="has schema 99, and this version of Headstart knows 2"):
        JobStore(url_of(path))
    assert statements(path) == before
