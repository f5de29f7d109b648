"""Jobs as rows."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from typing import Any

from google.protobuf.json_format import ParseError
from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.engine import Connection, RowMapping

from headstart_server.core.errors import DataLossError
from headstart_server.core.states import State
from headstart_server.data.source import SourceRecord
from headstart_server.engines.events import EncodeReport, JobFailure, SpecResolved
from headstart_server.jobs.records import JobRecord, StateCount
from headstart_server.jobs.tables import JOBS
from headstart_server.training.reports import EpochReport, StepReport

_COLUMNS: dict[str, TypeAdapter[Any]] = {
    "spec": TypeAdapter(dict[str, Any]),
    "sources": TypeAdapter(list[SourceRecord]),
    "resolved": TypeAdapter(SpecResolved | None),
    "best_epoch": TypeAdapter(EpochReport | None),
    "error": TypeAdapter(JobFailure | None),
    "encode": TypeAdapter(dict[str, EncodeReport]),
    "step": TypeAdapter(StepReport | None),
    "labels": TypeAdapter(dict[str, str]),
    "source_rows": TypeAdapter(dict[str, int]),
}
"""Columns of JSON, by what they hold."""
_TIMES = ("create_time", "update_time", "start_time", "end_time", "deadline")
_UNSET = {"resolved", "best_epoch", "error", "step"}
"""Columns that are empty until something is known."""
LARGE = {"spec", "resolved"}
"""Most of a job's bytes, which not everybody who reads it asks for."""


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
    """A row as a job; raises DataLossError for one that is not what was written. What is `LARGE` may be left out."""
    with damage_named(row["identifier"]):
        values: dict[str, Any] = {"spec": "{}", **row}
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
