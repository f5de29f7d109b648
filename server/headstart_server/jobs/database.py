"""The job store's database: its tables, its connections, and jobs as rows."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from google.protobuf.json_format import ParseError
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, Text, UniqueConstraint, create_engine, event
from sqlalchemy.engine import Connection, RowMapping
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from headstart_server.core.errors import DataLossError, FailedPreconditionError
from headstart_server.data.source import SourceRecord
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.states import State

READS = "headstart_reads"
"""Execution option of connections that only read."""

METADATA = MetaData()
JOBS = Table(
    "jobs",
    METADATA,
    Column("identifier", String(32), primary_key=True),
    Column("request_id", String(128), nullable=True, unique=True),
    Column("request_digest", String(64), nullable=False),
    Column("display_name", String(128), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("create_time", String(40), nullable=False),
    Column("update_time", String(40), nullable=False),
    Column("start_time", String(40)),
    Column("end_time", String(40)),
    Column("spec", Text, nullable=False),
    Column("sources", Text, nullable=False),
    Column("resolved", Text, nullable=False),
    Column("model", String(32), nullable=False),
    Column("best_epoch", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("encode", Text, nullable=False),
    Column("last_sequence", Integer, nullable=False),
)
EVENTS = Table(
    "events",
    METADATA,
    Column("job", String(32), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("time", String(40), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("data", Text, nullable=False),
    UniqueConstraint("job", "sequence"),
)

_JSON = ("spec", "sources", "resolved", "best_epoch", "error", "encode")
_TIMES = ("create_time", "update_time", "start_time", "end_time")


def connect(url: str) -> Engine:
    """An engine whose transactions lock what they read before they write it, unless their option `READS` is set."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def configure(connection: Any, _record: Any) -> None:
            cursor = connection.cursor()
            connection.isolation_level = None  # transactions are begun below, not by the driver
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute("PRAGMA busy_timeout=10000")
            cursor.close()

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            reads = connection.get_execution_options().get(READS, False)
            # What is read may then be written; who only reads waits for no writer.
            connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def check(engine: Engine) -> None:
    """Raises sqlalchemy's DatabaseError for an SQLite file with damaged pages; other databases look after theirs."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise DatabaseError("PRAGMA quick_check", None, ValueError(f"its pages are damaged: {found}"))


@contextmanager
def unusable_named() -> Iterator[None]:
    """Raises FailedPreconditionError for a database that cannot be reached, read or written."""
    try:
        yield
    except (SQLAlchemyError, ImportError) as error:
        cause = getattr(error, "orig", None) or error
        raise FailedPreconditionError(
            f"the job database cannot be used: {str(cause).splitlines()[0][:300]}; check --database-url, restore "
            "headstart.sqlite from a backup, or move it away: models, data sets and embeddings do not need it",
            reason="BAD_DATABASE",
        ) from error


def to_row(job: JobRecord) -> dict[str, Any]:
    """A job as a row."""
    row = {item.name: getattr(job, item.name) for item in fields(job)}
    row["sources"] = [asdict(source) for source in job.sources]
    row |= {name: json.dumps(row[name]) for name in _JSON}
    row |= {name: row[name].isoformat() if row[name] else None for name in _TIMES}
    return {**row, "state": job.state.value, "request_id": job.request_id or None}


def from_row(row: RowMapping) -> JobRecord:
    """A row as a job; raises DataLossError for one that is not what was written."""
    with damage_named(row["identifier"]):
        values: dict[str, Any] = dict(row)
        values |= {name: json.loads(values[name]) for name in _JSON}
        values |= {name: datetime.fromisoformat(values[name]) if values[name] else None for name in _TIMES}
        values["sources"] = [SourceRecord(**source) for source in values["sources"]]
        return JobRecord(**{**values, "state": State(values["state"]), "request_id": values["request_id"] or ""})


@contextmanager
def damage_named(identifier: str) -> Iterator[None]:
    """Raises DataLossError, with what to do, for what a job's record or its log holds and nobody wrote there."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, ParseError) as error:
        raise DataLossError(
            f"trainJobs/{identifier} is damaged: what the job database holds of it is not what was written; restore "
            "headstart.sqlite from a backup, or delete the job (a model that it published stays)"
        ) from error
