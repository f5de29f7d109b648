"""The durable store of jobs and their event logs: SQLAlchemy over SQLite, or another database by URL.

An event and what it changes of its job are one transaction, so a job never disagrees with its log.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    delete,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from headstart_server.core.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from headstart_server.jobs.records import Event, JobRecord, SourceRecord
from headstart_server.jobs.states import State, check_transition

_METADATA = MetaData()
_JOBS = Table(
    "jobs",
    _METADATA,
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
_EVENTS = Table(
    "events",
    _METADATA,
    Column("job", String(32), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("time", String(40), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("data", Text, nullable=False),
    UniqueConstraint("job", "sequence"),
)
Report = tuple[str, dict[str, Any]]
"""(kind, data) of an event."""

_JSON = ("spec", "sources", "resolved", "best_epoch", "error", "encode")
_TIMES = ("create_time", "update_time", "start_time", "end_time")


class JobStore:
    """Thread-safe. Times are UTC."""

    def __init__(self, url: str) -> None:
        self._engine = _connect(url)
        _METADATA.create_all(self._engine)

    def close(self) -> None:
        """Closes every connection."""
        self._engine.dispose()

    def create(self, job: JobRecord) -> tuple[JobRecord, bool]:
        """Stores a new job with its first event; returns (job, whether it is new).

        The same request id with the same digest returns the job that has it; with another, AlreadyExistsError.
        """
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(_JOBS).values(_to_row(job)))
                self._append(connection, job, "state", {"from": "", "to": job.state})
        except IntegrityError:
            known = self._by_request_id(job.request_id)
            if known.request_digest != job.request_digest:
                raise AlreadyExistsError(
                    f"request_id {job.request_id!r} was used for trainJobs/{known.identifier} with another body; "
                    "use a new request_id",
                    reason="REQUEST_ID_REUSED",
                    field="request_id",
                ) from None
            return known, False
        return self.get(job.identifier), True

    def get(self, identifier: str) -> JobRecord:
        """One job; raises NotFoundError."""
        with self._engine.connect() as connection:
            return self._get(connection, identifier)

    def newest(self, limit: int, before: str | None = None, states: Sequence[State] = ()) -> list[JobRecord]:
        """Jobs newest first, those older than `before`."""
        query = select(_JOBS).order_by(_JOBS.c.identifier.desc()).limit(limit)
        if before:
            query = query.where(_JOBS.c.identifier < before)
        if states:
            query = query.where(_JOBS.c.state.in_([state.value for state in states]))
        with self._engine.connect() as connection:
            return [_from_row(row) for row in connection.execute(query).mappings()]

    def append(self, identifier: str, kind: str, data: dict[str, Any]) -> JobRecord:
        """Appends an event and applies it to its job; returns the job. Raises FailedPreconditionError for a state
        that the job cannot enter."""
        with self._engine.begin() as connection:
            return self._append(connection, self._get(connection, identifier), kind, data)

    def append_reports(self, identifier: str, reports: Sequence[Report]) -> tuple[JobRecord, list[Report]]:
        """Appends what a worker reports, in one transaction; returns the job and what was appended.

        A state's `from` is the one that the store knows. A job that is being cancelled enters no state of its
        worker's any more.
        """
        appended = []
        with self._engine.begin() as connection:
            job = self._get(connection, identifier)
            for kind, data in reports:
                if kind == "state":
                    if job.state is State.CANCELLING:
                        continue
                    data = {"from": job.state, "to": data["to"]}
                job = self._append(connection, job, kind, data)
                appended.append((kind, data))
        return job, appended

    def events(self, identifier: str, after: int, limit: int = 200) -> list[Event]:
        """Events after a sequence number, in order."""
        query = (
            select(_EVENTS)
            .where(_EVENTS.c.job == identifier, _EVENTS.c.sequence > after)
            .order_by(_EVENTS.c.sequence)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Event(row["sequence"], datetime.fromisoformat(row["time"]), row["kind"], json.loads(row["data"]))
            for row in rows
        ]

    def delete(self, identifier: str) -> None:
        """Deletes an ended job and its events; raises FailedPreconditionError if it has not ended."""
        with self._engine.begin() as connection:
            job = self._get(connection, identifier)
            if not job.state.terminal:
                raise FailedPreconditionError(f"trainJobs/{identifier} is {job.state}; cancel it first")
            connection.execute(delete(_EVENTS).where(_EVENTS.c.job == identifier))
            connection.execute(delete(_JOBS).where(_JOBS.c.identifier == identifier))

    def _append(self, connection: Connection, job: JobRecord, kind: str, data: dict[str, Any]) -> JobRecord:
        now = datetime.now(UTC)
        if kind == "state" and job.last_sequence > 0:
            check_transition(job.state, State(data["to"]))
        changed = apply(replace(job, last_sequence=job.last_sequence + 1, update_time=now), kind, data, now)
        entry = {"job": job.identifier, "sequence": changed.last_sequence, "time": now.isoformat(), "kind": kind}
        connection.execute(insert(_EVENTS).values({**entry, "data": json.dumps(data)}))
        connection.execute(update(_JOBS).where(_JOBS.c.identifier == job.identifier).values(_to_row(changed)))
        return changed

    def _get(self, connection: Connection, identifier: str) -> JobRecord:
        row = connection.execute(select(_JOBS).where(_JOBS.c.identifier == identifier)).mappings().first()
        if row is None:
            raise NotFoundError(f"trainJobs/{identifier} does not exist", field="name")
        return _from_row(row)

    def _by_request_id(self, request_id: str) -> JobRecord:
        with self._engine.connect() as connection:
            return _from_row(connection.execute(select(_JOBS).where(_JOBS.c.request_id == request_id)).mappings().one())


def apply(job: JobRecord, kind: str, data: dict[str, Any], now: datetime) -> JobRecord:
    """The job after an event."""
    match kind:
        case "state":
            state = State(data["to"])
            starts = state is State.PREPARING and job.start_time is None
            return replace(
                job,
                state=state,
                start_time=now if starts else job.start_time,
                end_time=now if state.terminal else None,
                error=data.get("error", {}),
            )
        case "resolved":
            return replace(job, resolved=data)
        case "encode":
            return replace(job, encode={**job.encode, data["feature"]: data})
        case "epoch":
            return replace(job, best_epoch=data) if data["best"] else job
        case "model":
            return replace(job, model=data["model"], best_epoch=data["best_epoch"])
        case _:
            return job


def _connect(url: str) -> Engine:
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
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # what is read may then be written

    return engine


def _to_row(job: JobRecord) -> dict[str, Any]:
    row = {item.name: getattr(job, item.name) for item in fields(job)}
    row["sources"] = [asdict(source) for source in job.sources]
    row |= {name: json.dumps(row[name]) for name in _JSON}
    row |= {name: row[name].isoformat() if row[name] else None for name in _TIMES}
    return {**row, "state": job.state.value, "request_id": job.request_id or None}


def _from_row(row: RowMapping) -> JobRecord:
    values: dict[str, Any] = dict(row)
    values |= {name: json.loads(values[name]) for name in _JSON}
    values |= {name: datetime.fromisoformat(values[name]) if values[name] else None for name in _TIMES}
    values["sources"] = [SourceRecord(**source) for source in values["sources"]]
    return JobRecord(**{**values, "state": State(values["state"]), "request_id": values["request_id"] or ""})
