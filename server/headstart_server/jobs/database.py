"""The job store's tables, and jobs as rows."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from typing import Any

from google.protobuf.json_format import ParseError
from pydantic import TypeAdapter
from sqlalchemy import (
    Column,
    ColumnElement,
    Double,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    select,
)
from sqlalchemy.engine import Connection, RowMapping

from headstart_server.core.errors import DataLossError
from headstart_server.core.states import State
from headstart_server.data.source import SourceRecord
from headstart_server.engines.events import EncodeReport, JobFailure, SpecResolved
from headstart_server.jobs.records import JobRecord, StateCount
from headstart_server.training.reports import EpochReport

METADATA = MetaData()
JOBS = Table(
    "jobs",
    METADATA,
    Column("identifier", String(32), primary_key=True),
    Column("request_id", String(128), nullable=True),  # many jobs have none: NULLs are never equal
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
    Column("tenant", String(64), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("lease_until", Double, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("restarts", Integer, nullable=False),
    Column("halvings", Integer, nullable=False),
    UniqueConstraint("tenant", "request_id", name="jobs_request_of_tenant"),
)
"""As the revisions in `migrations/` make it, which a test compares."""
EVENTS = Table(
    "events",
    METADATA,
    Column("job", String(32), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("time", String(40), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("data", Text, nullable=False),
    UniqueConstraint("job", "sequence"),  # no number twice, whatever the locks of a database allow
)

_COLUMNS: dict[str, TypeAdapter[Any]] = {
    "spec": TypeAdapter(dict[str, Any]),
    "sources": TypeAdapter(list[SourceRecord]),
    "resolved": TypeAdapter(SpecResolved | None),
    "best_epoch": TypeAdapter(EpochReport | None),
    "error": TypeAdapter(JobFailure | None),
    "encode": TypeAdapter(dict[str, EncodeReport]),
}
"""Columns of JSON, by what they hold."""
_TIMES = ("create_time", "update_time", "start_time", "end_time")
_UNSET = {"resolved", "best_epoch", "error"}
"""Columns that are empty until something is known."""


def in_states(states: Sequence[State]) -> ColumnElement[bool]:
    """Whether a job is in one of some states."""
    return JOBS.c.state.in_([state.value for state in states])


def count_states(connection: Connection) -> dict[State, StateCount]:
    """The jobs in each state that any is in; a damaged one may be in a state that there is not, and is left out."""
    query = select(JOBS.c.state, func.count(), func.min(JOBS.c.update_time)).group_by(JOBS.c.state)
    known = [row for row in connection.execute(query) if row[0] in State.__members__]
    return {State(state): StateCount(jobs, datetime.fromisoformat(since)) for state, jobs, since in known}


def to_row(job: JobRecord, since: JobRecord | None = None) -> dict[str, Any]:
    """A job as a row; of one that was read before, what has changed `since`."""
    row: dict[str, Any] = {}
    for item in fields(job):
        value = getattr(job, item.name)
        # by identity: `replace` hands on the very objects of fields that did not change
        if since is None or value is not getattr(since, item.name):
            row[item.name] = _written(item.name, value)
    return row


def _written(name: str, value: Any) -> Any:
    """A field of a job as its column holds it."""
    if name in _COLUMNS:
        return json.dumps(_COLUMNS[name].dump_python(value, mode="json"))
    if name in _TIMES:
        return value.isoformat() if value else None
    if name == "state":
        return value.value
    return (value or None) if name == "request_id" else value


def from_row(row: RowMapping) -> JobRecord:
    """A row as a job; raises DataLossError for one that is not what was written. `resolved` may be left out."""
    with damage_named(row["identifier"]):
        values: dict[str, Any] = dict(row)
        for name, column in _COLUMNS.items():
            if name not in values:
                continue
            plain = json.loads(values[name])
            values[name] = column.validate_python((plain or None) if name in _UNSET else plain)
        values |= {name: datetime.fromisoformat(values[name]) if values[name] else None for name in _TIMES}
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
