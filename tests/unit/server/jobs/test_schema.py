"""A database of another version is upgraded with all it holds, or refused untouched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.jobs import migrate, schema
from headstart_server.jobs.connections import connect
from headstart_server.jobs.store import JobStore
from headstart_server.jobs.tables import METADATA
from sqlalchemy import inspect, text

from tests.support.job_logs import created

RELEASED = """
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
"""The tables of the releases before revisions were counted; the first of them had no note of its version."""
NOTE = "CREATE TABLE schema_version (version INTEGER NOT NULL PRIMARY KEY); INSERT INTO schema_version VALUES ({});"


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def statements(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()


def test_the_revisions_make_the_tables_that_the_store_works_with(database_url: str) -> None:
    engine = connect(database_url)
    assert schema.upgrade(engine) == ("", schema.current_revision())
    found = inspect(engine)
    for table in METADATA.sorted_tables:
        made = {column["name"]: (str(column["type"]), column["nullable"]) for column in found.get_columns(table.name)}
        wanted = {column.name: (column.type.compile(engine.dialect), column.nullable) for column in table.columns}
        assert {name: kind for name, (kind, _) in made.items()} == {name: kind for name, (kind, _) in wanted.items()}
        assert {name for name, (_, empty) in made.items() if empty} == {
            name for name, (_, empty) in wanted.items() if empty
        }
        unique = {tuple(item["column_names"]) for item in found.get_unique_constraints(table.name)}
        assert unique == {("tenant", "request_id")} if table.name == "jobs" else {("job", "sequence")}
    engine.dispose()


def test_upgrading_twice_is_upgrading_once(database_url: str) -> None:
    engine = connect(database_url)
    schema.upgrade(engine)
    assert schema.upgrade(engine) == (schema.current_revision(), schema.current_revision())
    schema.check(engine)
    engine.dispose()


@pytest.mark.parametrize("note", ["", NOTE.format(1), NOTE.format(2)])
def test_the_database_of_an_earlier_release_is_upgraded_with_its_jobs(tmp_path: Path, note: str) -> None:
    path = tmp_path / "old"
    store = JobStore(url_of(tmp_path / "written"))
    stored = created(store)
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(RELEASED + note)
        connection.execute("ATTACH ? AS written", (str(tmp_path / "written"),))
        for table in ("jobs", "events"):
            names = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"INSERT INTO {table} SELECT {names} FROM written.{table}")
        connection.commit()
    for _ in range(2):  # the second start finds the current version
        upgraded = JobStore(url_of(path))
        assert upgraded.get(stored.identifier) == stored
        upgraded.close()
    with closing(sqlite3.connect(path)) as connection:  # where earlier releases look, and refuse
        assert connection.execute("SELECT version FROM schema_version").fetchall() == [(3,)]


def test_a_database_of_a_later_release_before_revisions_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "later"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(NOTE.format(99))
    before = statements(path)
    with pytest.raises(FailedPreconditionError, match="has schema 99, and this version of Headstart knows 0004"):
        JobStore(url_of(path))
    assert statements(path) == before


def test_a_database_of_a_later_revision_is_refused_untouched(database_url: str) -> None:
    JobStore(database_url, migrate=True).close()
    engine = connect(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for asked in (False, True):
        with pytest.raises(FailedPreconditionError, match=r"has schema 9999, and .* knows 0004: a later one"):
            JobStore(database_url, migrate=asked)
    engine.dispose()


def test_a_server_on_postgres_asks_for_the_migration(postgres_url: str) -> None:
    with pytest.raises(FailedPreconditionError, match=r"has schema none, and .* needs 0004: run `headstart migrate`"):
        JobStore(postgres_url)


def test_the_command_migrates_and_says_so(postgres_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    for told in ("schema 0004, it had none", "schema 0004\n"):
        assert migrate.main(["--database-url", postgres_url]) == 0
        assert told in capsys.readouterr().out
    JobStore(postgres_url).close()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [([], "--database-url is needed"), (["--database-url", "postgresql+psycopg://127.0.0.1:9/none"], "cannot be used")],
)
def test_a_database_that_cannot_be_migrated_is_one_line(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADSTART_DATABASE_URL", raising=False)
    assert migrate.main(arguments) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
