"""The durable store of jobs and their event logs: SQLAlchemy over SQLite, or another database by URL.

An event and what it changes of its job are one transaction, so a job never disagrees with its log.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

import structlog
from sqlalchemy import delete, func, insert, select
from sqlalchemy.engine import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from headstart_server import metrics
from headstart_server.core.errors import AlreadyExistsError, DataLossError, FailedPreconditionError, NotFoundError
from headstart_server.core.reasons import Reason
from headstart_server.core.states import State
from headstart_server.engines.events import JobEvent, JobFailure, StateChange, from_plain
from headstart_server.jobs import schema
from headstart_server.jobs.database import (
    EVENTS,
    JOBS,
    READS,
    check,
    connect,
    count_states,
    damage_named,
    from_row,
    in_states,
    to_row,
    unusable_named,
)
from headstart_server.jobs.log_writer import Appended, append, unlogged
from headstart_server.jobs.records import JobRecord, LogEntry, StateCount

_log = structlog.get_logger()


class JobStore:
    """Thread-safe. Times are UTC. Raises FailedPreconditionError for a database that cannot be used.

    Args:
        url: SQLAlchemy's.
        migrate: Whether to bring the schema up to date; that of SQLite always is, which one server alone uses.
    """

    def __init__(self, url: str, *, migrate: bool = False) -> None:
        with unusable_named():
            self._engine = connect(url)
            self._reading = self._engine.execution_options(**{READS: True})
            try:
                if migrate or self._engine.dialect.name == "sqlite":
                    schema.upgrade(self._engine)
                schema.check(self._engine)
                check(self._engine)
            except BaseException:
                self._engine.dispose()
                raise
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
                created, _ = append(connection, job, [StateChange(job.state)])
        except IntegrityError:
            # request ids are unique: of racing requests one is stored, and the others find it here
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
            query = select(JOBS).where(JOBS.c.tenant == job.tenant, JOBS.c.request_id == job.request_id)
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        if row["request_digest"] != job.request_digest:
            raise AlreadyExistsError(
                f"request_id {job.request_id!r} was used for trainJobs/{row['identifier']} with another body; "
                "use a new request_id",
                reason=Reason.REQUEST_ID_REUSED,
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
        *,
        resolved: bool = True,
    ) -> list[JobRecord]:
        """Jobs newest first, those older than `before`; without what was resolved where that is not asked for.

        Damaged ones, of which `readable` may find more by raising DataLossError, are left out, logged once and counted.
        """
        found: list[JobRecord] = []
        while len(found) < limit:
            columns = [column for column in JOBS.c if resolved or column is not JOBS.c.resolved]
            query = select(*columns).order_by(JOBS.c.identifier.desc()).limit(limit - len(found))
            if before:
                query = query.where(JOBS.c.identifier < before)
            if states:
                query = query.where(in_states(states))
            with self._reading.connect() as connection:
                rows = connection.execute(query).mappings().all()
            asked = limit - len(found)
            found += filter(None, (self._sound(row, readable) for row in rows))
            if len(rows) < asked:
                break
            before = rows[-1]["identifier"]
        return found

    def oldest(self, states: Sequence[State]) -> list[JobRecord]:
        """Every job in some states, oldest first; damaged ones are left out."""
        query = select(JOBS).where(in_states(states)).order_by(JOBS.c.identifier)
        with self._reading.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return list(filter(None, (self._sound(row, lambda job: job) for row in rows)))

    def earliest(self, states: Sequence[State]) -> datetime | None:
        """When the oldest job in some states was created; None where there is none."""
        with self._reading.connect() as connection:
            # as texts, ISO 8601 in UTC sorts by time
            found = connection.execute(select(func.min(JOBS.c.create_time)).where(in_states(states))).scalar()
        return datetime.fromisoformat(found) if found else None

    def states(self) -> dict[State, StateCount]:
        """How many jobs are in each state, and since when the first of them has been there."""
        with self._reading.connect() as connection:
            return count_states(connection)

    def count(self, tenant: str, state: State) -> int:
        """How many of a tenant's jobs are in a state."""
        query = select(func.count()).select_from(JOBS).where(JOBS.c.tenant == tenant, in_states([state]))
        with self._reading.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def user_of(self, dataset: str, states: Sequence[State]) -> str | None:
        """The id of a job in some states that reads an uploaded data set; None where there is none."""
        # the text narrows the jobs down; the JSON tells whether one of the sources is the data set
        query = select(JOBS.c.identifier, JOBS.c.sources).where(
            in_states(states), JOBS.c.sources.contains(dataset, autoescape=True)
        )
        with self._reading.connect() as connection:
            for identifier, sources in connection.execute(query):
                with suppress(
                    ValueError, AttributeError, TypeError
                ):  # of a damaged job, whose id names the data set at least
                    if all(source.get("dataset") != dataset for source in json.loads(sources)):
                        continue
                return str(identifier)
        return None

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

    def append(self, identifier: str, event: JobEvent) -> Appended:
        """Appends an event and applies it to its job. Raises FailedPreconditionError for a state that the job cannot
        enter."""
        with self._engine.begin() as connection:
            return append(connection, self._get(connection, identifier), [event])

    def append_reports(self, identifier: str, events: Sequence[JobEvent]) -> Appended:
        """Appends what a worker reports, in one transaction.

        A job that is being cancelled enters no state of its worker's any more; one that has ended takes no report.
        A `PastEpoch` becomes an epoch where the log has none of it: its worker may have died before it was sent.
        """
        with self._engine.begin() as connection:
            job = self._get(connection, identifier)
            if job.state.terminal:
                return job, []
            if job.state is State.CANCELLING:
                events = [event for event in events if not isinstance(event, StateChange)]
            return append(connection, job, unlogged(connection, identifier, events))

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
            return append(connection, job, [StateChange(after)])

    def end(self, identifier: str, state: State, error: JobFailure | None = None) -> Appended:
        """Ends a job that has not ended. One that fails while it is being cancelled is cancelled."""
        with self._engine.begin() as connection:
            job = self._get(connection, identifier)
            if job.state.terminal:
                return job, []
            if job.state is State.CANCELLING and state is State.FAILED:
                state, error = State.CANCELLED, None
            return append(connection, job, [StateChange(state, error=error)])

    def events(self, identifier: str, after: int, limit: int = 200) -> list[LogEntry]:
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
                LogEntry(
                    row["sequence"],
                    datetime.fromisoformat(row["time"]),
                    from_plain(row["kind"], json.loads(row["data"])),
                )
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

    def _get(self, connection: Connection, identifier: str, *, lock: bool = True) -> JobRecord:
        """One job, locked until the transaction ends where the database locks by row."""
        query = select(JOBS).where(JOBS.c.identifier == identifier)
        # SQLite has no FOR UPDATE, which SQLAlchemy leaves out there: BEGIN IMMEDIATE locks the whole database
        row = connection.execute(query.with_for_update() if lock else query).mappings().first()
        if row is None:
            raise NotFoundError(f"trainJobs/{identifier} does not exist", field="name")
        return from_row(row)
