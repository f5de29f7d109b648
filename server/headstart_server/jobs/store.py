"""The durable store of jobs and their event logs: SQLAlchemy over SQLite, or another database by URL.

An event and what it changes of its job are one transaction, so a job never disagrees with its log.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from headstart_server import metrics
from headstart_server.core.errors import AlreadyExistsError, DataLossError, FailedPreconditionError, NotFoundError
from headstart_server.jobs.database import (
    EVENTS,
    JOBS,
    METADATA,
    READS,
    check,
    connect,
    damage_named,
    from_row,
    to_row,
    unusable_named,
)
from headstart_server.jobs.records import Event, JobRecord, apply
from headstart_server.jobs.states import State, check_transition

_log = structlog.get_logger()
Report = tuple[str, dict[str, Any]]
"""(kind, data) of an event."""
Appended = tuple[JobRecord, list[Report]]
"""A job after some events, and those events as they were stored."""


class JobStore:
    """Thread-safe. Times are UTC. Raises FailedPreconditionError for a database that cannot be used."""

    def __init__(self, url: str) -> None:
        with unusable_named():
            self._engine = connect(url)
            self._reading = self._engine.execution_options(**{READS: True})
            METADATA.create_all(self._engine)
            check(self._engine)
        self._damaged: frozenset[str] = frozenset()
        """Jobs that were found to be damaged and are not deleted yet."""

    def close(self) -> None:
        """Closes every connection."""
        self._engine.dispose()

    def create(self, job: JobRecord) -> tuple[JobRecord, bool]:
        """Stores a new job with its first event; returns (job, whether it is new).

        The same request id with the same digest returns the job that has it; with another, AlreadyExistsError.
        """
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(JOBS).values(to_row(job)))
                created, _ = self._append(connection, job, [("state", {"to": job.state})])
        except IntegrityError:
            known = self.known(job)
            if known is None:
                raise
            return known, False
        return created, True

    def known(self, job: JobRecord) -> JobRecord | None:
        """The stored job with a new job's request id; raises AlreadyExistsError if its body was another."""
        if not job.request_id:
            return None
        with self._reading.connect() as connection:
            query = select(JOBS).where(JOBS.c.request_id == job.request_id)
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        if row["request_digest"] != job.request_digest:
            raise AlreadyExistsError(
                f"request_id {job.request_id!r} was used for trainJobs/{row['identifier']} with another body; "
                "use a new request_id",
                reason="REQUEST_ID_REUSED",
                field="request_id",
            )
        return from_row(row)

    def get(self, identifier: str) -> JobRecord:
        """One job; raises NotFoundError."""
        with self._reading.connect() as connection:
            return self._get(connection, identifier, lock=False)

    def newest(
        self,
        limit: int,
        before: str | None = None,
        states: Sequence[State] = (),
        readable: Callable[[JobRecord], object] = lambda job: job,
    ) -> list[JobRecord]:
        """Jobs newest first, those older than `before`.

        Damaged ones, of which `readable` may find more by raising DataLossError, are left out, logged once and counted.
        """
        found: list[JobRecord] = []
        while len(found) < limit:
            query = select(JOBS).order_by(JOBS.c.identifier.desc()).limit(limit - len(found))
            if before:
                query = query.where(JOBS.c.identifier < before)
            if states:
                query = query.where(JOBS.c.state.in_([state.value for state in states]))
            with self._reading.connect() as connection:
                rows = connection.execute(query).mappings().all()
            asked = limit - len(found)
            found += filter(None, (self._sound(row, readable) for row in rows))
            if len(rows) < asked:
                break
            before = rows[-1]["identifier"]
        return found

    def _sound(self, row: RowMapping, readable: Callable[[JobRecord], object]) -> JobRecord | None:
        """A row as a job; None for a damaged one."""
        try:
            job = from_row(row)
            readable(job)
        except DataLossError as error:
            if row["identifier"] not in self._damaged:
                _log.warning("left out of lists", resource=f"trainJobs/{row['identifier']}", error=error.message)
                self._count_damaged(self._damaged | {row["identifier"]})
            return None
        return job

    def _count_damaged(self, damaged: frozenset[str]) -> None:
        self._damaged = damaged
        metrics.DAMAGED.labels("trainJobs").set(len(damaged))

    def append(self, identifier: str, kind: str, data: dict[str, Any]) -> Appended:
        """Appends an event and applies it to its job. Raises FailedPreconditionError for a state that the job cannot
        enter."""
        with self._engine.begin() as connection:
            return self._append(connection, self._get(connection, identifier), [(kind, data)])

    def append_reports(self, identifier: str, reports: Sequence[Report]) -> Appended:
        """Appends what a worker reports, in one transaction.

        A job that is being cancelled enters no state of its worker's any more; one that has ended takes no report.
        `past` is an `epoch` that its worker told perhaps: it becomes one where there is none of it.
        """
        with self._engine.begin() as connection:
            job = self._get(connection, identifier)
            if job.state.terminal:
                return job, []
            if job.state is State.CANCELLING:
                reports = [(kind, data) for kind, data in reports if kind != "state"]
            return self._append(connection, job, self._unheard(connection, identifier, reports))

    def cancel(self, identifier: str) -> Appended:
        """Ends a job that waits, and marks one that runs; raises FailedPreconditionError if it has ended."""
        with self._engine.begin() as connection:
            job = self._get(connection, identifier)
            if job.state.terminal:
                raise FailedPreconditionError(
                    f"trainJobs/{identifier} has ended ({job.state}); there is nothing to cancel"
                )
            if job.state is State.CANCELLING:
                return job, []
            waits = job.state in (State.QUEUED, State.PAUSED)
            after = State.CANCELLED if waits else State.CANCELLING
            return self._append(connection, job, [("state", {"to": after})])

    def end(self, identifier: str, state: State, error: dict[str, str] | None = None) -> Appended:
        """Ends a job that has not ended. One that fails while it is being cancelled is cancelled."""
        with self._engine.begin() as connection:
            job = self._get(connection, identifier)
            if job.state.terminal:
                return job, []
            if job.state is State.CANCELLING and state is State.FAILED:
                state, error = State.CANCELLED, None
            data = {"to": state, **({"error": error} if error else {})}
            return self._append(connection, job, [("state", data)])

    def events(self, identifier: str, after: int, limit: int = 200) -> list[Event]:
        """Events after a sequence number, in order."""
        query = (
            select(EVENTS)
            .where(EVENTS.c.job == identifier, EVENTS.c.sequence > after)
            .order_by(EVENTS.c.sequence)
            .limit(limit)
        )
        with self._reading.connect() as connection:
            rows = connection.execute(query).mappings().all()
        with damage_named(identifier):
            return [
                Event(row["sequence"], datetime.fromisoformat(row["time"]), row["kind"], json.loads(row["data"]))
                for row in rows
            ]

    def delete(self, identifier: str) -> None:
        """Deletes an ended or damaged job and its events; raises FailedPreconditionError if it has not ended."""
        with self._engine.begin() as connection:
            with suppress(DataLossError):
                job = self._get(connection, identifier)
                if not job.state.terminal:
                    raise FailedPreconditionError(f"trainJobs/{identifier} is {job.state}; cancel it first")
            connection.execute(delete(EVENTS).where(EVENTS.c.job == identifier))
            connection.execute(delete(JOBS).where(JOBS.c.identifier == identifier))
        self._count_damaged(self._damaged - {identifier})

    def _unheard(self, connection: Connection, identifier: str, reports: Sequence[Report]) -> Sequence[Report]:
        if not any(kind == "past" for kind, _ in reports):
            return reports
        query = select(EVENTS.c.data).where(EVENTS.c.job == identifier, EVENTS.c.kind == "epoch")
        heard = {_evaluation(json.loads(data)) for data in connection.execute(query).scalars()}
        found: list[Report] = []
        for kind, data in reports:
            if kind == "past" and _evaluation(data) in heard:
                continue
            if kind in ("epoch", "past"):
                heard.add(_evaluation(data))
            found.append(("epoch" if kind == "past" else kind, data))
        return found

    def _append(self, connection: Connection, job: JobRecord, reports: Sequence[Report]) -> Appended:
        """Writes events and the job after them; a state's `from` is the one that the store knows."""
        now = datetime.now(UTC)
        appended: list[Report] = []
        rows = []
        for kind, data in reports:
            if kind == "state":
                data = {**data, "from": job.state if job.last_sequence else ""}
                if job.last_sequence:
                    check_transition(job.state, State(data["to"]))
            job = apply(replace(job, last_sequence=job.last_sequence + 1, update_time=now), kind, data, now)
            entry = {"job": job.identifier, "sequence": job.last_sequence, "time": now.isoformat(), "kind": kind}
            rows.append({**entry, "data": json.dumps(data)})
            appended.append((kind, data))
        if rows:
            connection.execute(insert(EVENTS), rows)
            connection.execute(update(JOBS).where(JOBS.c.identifier == job.identifier).values(to_row(job)))
        return job, appended

    def _get(self, connection: Connection, identifier: str, *, lock: bool = True) -> JobRecord:
        """One job, locked until the transaction ends where the database locks by row."""
        query = select(JOBS).where(JOBS.c.identifier == identifier)
        row = connection.execute(query.with_for_update() if lock else query).mappings().first()
        if row is None:
            raise NotFoundError(f"trainJobs/{identifier} does not exist", field="name")
        return from_row(row)


def _evaluation(data: dict[str, Any]) -> tuple[int, int]:
    """Which evaluation of a run an epoch's report is of; those of earlier versions do not count them."""
    return data["epoch"], data.get("evaluation", 0)
