"""The durable store of jobs and their event logs: SQLAlchemy over SQLite, or PostgreSQL by URL.

An event and what it changes of its job are one transaction, so a job never disagrees with its log.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, exists, func, insert, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from headstart_server.core.errors import AlreadyExistsError, DataLossError, FailedPreconditionError
from headstart_server.core.reasons import Reason
from headstart_server.core.states import State
from headstart_server.engines.events import JobEvent, JobFailure, ModelPublished, StateChange
from headstart_server.jobs import schema
from headstart_server.jobs.connections import Database, check, unusable_named
from headstart_server.jobs.database import from_row, in_states, to_row
from headstart_server.jobs.deadlines import expired
from headstart_server.jobs.log_writer import Appended, append, unlogged
from headstart_server.jobs.queries import JobQueries, get
from headstart_server.jobs.records import JobRecord, stopped
from headstart_server.jobs.tables import EVENTS, JOBS

_QUEUE_LOCK = 0x4845_4145  # an arbitrary key of PostgreSQL's advisory locks
_TERMINAL = tuple(state for state in State if state.terminal)


Changes = Callable[[Mapping[str, str]], Mapping[str, Any]]
"""The new values by field of a job that has these labels."""
Require = Callable[[str, int, int], None]
"""Asked whether one more job may wait, by its tenant, how many wait, and how many of those are the tenant's."""


class LostJobError(Exception):
    """The job is no longer that of the attempt that reports: another server has taken it, or it has ended."""


class JobStore(JobQueries):
    """Thread-safe. Times are UTC. Raises FailedPreconditionError for a database that cannot be used at the start.

    Args:
        url: SQLAlchemy's.
        migrate: Whether to bring the schema up to date; that of SQLite always is, which one server alone uses.
    """

    def __init__(self, url: str, *, migrate: bool = False) -> None:
        with unusable_named(url), ExitStack() as opened:
            database = opened.enter_context(closing(Database(url)))
            # first: what is damaged would be taken for another version
            check(database.engine)
            if migrate or not database.shared:
                schema.upgrade(database.engine)
            schema.check(database.engine)
            opened.pop_all()
        super().__init__(database)

    def close(self) -> None:
        """Closes every connection."""
        self.database.close()

    def create(self, job: JobRecord, require: Require | None = None) -> tuple[JobRecord, bool]:
        """Stores a new job with its first event; returns (job, whether it is new).

        The same request id with the same digest returns the job that has it; with another, AlreadyExistsError. Raises
        what `require` does, which is told who asks, how many jobs wait, and how many of them are the tenant's.
        """
        # a repeated request is answered however many wait
        if (known := self.known(job.tenant, job.request_id, job.request_digest)) is not None:
            return known, False
        try:
            with self.database.writing() as connection:
                if require is not None:
                    require(job.tenant, *_waiting(connection, job.tenant))
                connection.execute(insert(JOBS).values(to_row(job)))
                created, _ = append(connection, job, [StateChange(job.state)])
        except IntegrityError:
            # request ids are unique: of racing requests one is stored, and the others find it here
            known = self.known(job.tenant, job.request_id, job.request_digest)
            if known is None:
                raise
            return known, False
        return created, True

    def known(self, tenant: str, request_id: str, digest: str) -> JobRecord | None:
        """The stored job with a new job's request id; raises AlreadyExistsError if its body was another."""
        if not request_id:
            return None
        with self.database.reading() as connection:
            query = select(JOBS).where(JOBS.c.tenant == tenant, JOBS.c.request_id == request_id)
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        if row["request_digest"] != digest:
            raise AlreadyExistsError(
                f"request_id {request_id!r} was used for trainJobs/{row['identifier']} with another body; "
                "use a new request_id",
                reason=Reason.REQUEST_ID_REUSED,
                field="request_id",
            )
        return from_row(row)

    def append(self, identifier: str, event: JobEvent) -> Appended:
        """Appends an event and applies it to its job. Raises FailedPreconditionError for a state that the job cannot
        enter."""
        with self.database.writing() as connection:
            return append(connection, get(connection, identifier), [event])

    def append_reports(self, identifier: str, events: Sequence[JobEvent], attempt: int) -> Appended:
        """Appends what a worker reports, in one transaction; raises LostJobError where its attempt is not the last.

        A job that is to stop enters no state of its worker's any more; one that has ended takes no report.
        A `PastEpoch` becomes an epoch where the log has none of it: its worker may have died before it was sent.
        """
        with self.database.writing() as connection:
            job = _claimed(connection, identifier, attempt)
            if job.state in (State.CANCELLING, State.PAUSING):
                events = [event for event in events if not isinstance(event, StateChange)]
            return append(connection, job, unlogged(connection, identifier, events))

    def cancel(self, identifier: str) -> Appended:
        """Ends a job that waits, and marks one that runs; leaves a cancelled one as it is. Raises
        FailedPreconditionError for one that has ended otherwise."""
        with self.database.writing() as connection:
            job = get(connection, identifier)
            if job.state in (State.CANCELLING, State.CANCELLED):
                return job, []
            _require_living(job, "cancel")
            waits = job.state in (State.QUEUED, State.PAUSED)
            return append(connection, job, [StateChange(State.CANCELLED if waits else State.CANCELLING)])

    def pause(self, identifier: str) -> Appended:
        """Pauses a job that waits, and marks one that runs; raises FailedPreconditionError for one that stops."""
        with self.database.writing() as connection:
            job = get(connection, identifier)
            _require_living(job, "pause")
            if job.state in (State.PAUSING, State.PAUSED):
                return job, []
            if job.state is State.CANCELLING:
                raise _stopping(identifier, "is being cancelled and cannot be paused")
            waits = job.state is State.QUEUED
            return append(connection, job, [StateChange(State.PAUSED if waits else State.PAUSING)])

    def resume(self, identifier: str, require: Require | None = None) -> Appended:
        """Queues a paused job again, and leaves one that waits or runs as it is; raises FailedPreconditionError for one
        that has ended or is about to stop, and what `require` does, as `create`."""
        with self.database.writing() as connection:
            job = get(connection, identifier)
            _require_living(job, "resume")
            if job.state is State.PAUSING:
                raise _stopping(identifier, "is PAUSING; resume it once it is PAUSED, at its next checkpoint")
            if job.state is State.CANCELLING:
                raise _stopping(identifier, "is being cancelled and cannot be resumed")
            if job.state is not State.PAUSED:
                return job, []
            if require is not None:
                require(job.tenant, *_waiting(connection, job.tenant))
            return append(connection, job, [StateChange(State.QUEUED)])

    def end(
        self,
        identifier: str,
        state: State,
        error: JobFailure | None = None,
        *,
        attempt: int,
        published: ModelPublished | None = None,
    ) -> Appended:
        """Ends an attempt: in a terminal state, PAUSED, or QUEUED to go on. Raises LostJobError as `append_reports`.

        A success and its model are one step. A job that fails or stops while it is being cancelled is cancelled; one
        that would go on while it is to pause is paused.
        """
        with self.database.writing() as connection:
            job = _claimed(connection, identifier, attempt)
            if job.state is State.CANCELLING and state is not State.SUCCEEDED:
                state, error = stopped(job)
            if job.state is State.PAUSING and state is State.QUEUED:
                state = State.PAUSED
            if job.state is State.QUEUED and state is State.QUEUED:  # it was claimed, and nothing was done
                return append(connection, job, [], owner="", lease_until=0.0)
            told: list[JobEvent] = [published] if published is not None else []
            return append(connection, job, [*told, StateChange(state, error=error)])

    def go_on(self, identifier: str, warning: JobEvent, *, attempt: int, halve: bool = False) -> Appended:
        """Queues a job again whose attempt has failed, with what the log says of it; raises LostJobError.

        One that is to stop has stopped by that.
        """
        with self.database.writing() as connection:
            job = _claimed(connection, identifier, attempt)
            after, error = stopped(job)
            # claimed, and not begun: it is in the queue as far as its log says
            changes = [] if job.state is after else [StateChange(after, error=error)]
            counts = {"restarts": job.restarts + 1, "halvings": job.halvings + halve}
            return append(connection, job, [warning, *changes], owner="", lease_until=0.0, **counts)

    def update(self, identifier: str, wanted: Changes) -> Appended:
        """Sets fields of a job that people may change; raises what `wanted` does, or FailedPreconditionError for the
        priority of one that does not wait."""
        with self.database.writing() as connection:
            job = get(connection, identifier)
            changes = wanted(job.labels)
            priority = changes.get("priority", job.priority)
            if priority != job.priority and job.state not in (State.QUEUED, State.PAUSED):
                raise FailedPreconditionError(
                    f"trainJobs/{identifier} is {job.state}; a priority changes the turn of jobs that wait",
                    reason=Reason.JOB_BEGUN,
                    field="train_job.priority",
                )
            return append(connection, job, [], **changes, update_time=datetime.now(UTC))

    def delete(self, identifier: str) -> None:
        """Deletes an ended or damaged job and its events; raises FailedPreconditionError if it has not ended."""
        with self.database.writing() as connection:
            with suppress(DataLossError):
                job = get(connection, identifier)
                if not job.state.terminal:
                    raise FailedPreconditionError(
                        f"trainJobs/{identifier} is {job.state}; cancel it first", reason=Reason.JOB_NOT_ENDED
                    )
            connection.execute(delete(EVENTS).where(EVENTS.c.job == identifier))
            connection.execute(delete(JOBS).where(JOBS.c.identifier == identifier))
        self._count_damaged(self._damaged - {identifier})

    def expired(self) -> list[str]:
        """Some jobs that ended longer ago than they are kept."""
        return expired(self.database)

    def expire_events(self, before: datetime, most: int = 100) -> int:
        """Deletes the events, but for the last, of some jobs that ended before a time; returns of how many."""
        first = exists().where(EVENTS.c.job == JOBS.c.identifier, EVENTS.c.sequence == 1)
        query = select(JOBS.c.identifier, JOBS.c.last_sequence).where(
            in_states(_TERMINAL), JOBS.c.end_time < before.isoformat(), JOBS.c.last_sequence > 1, first
        )
        with self.database.writing() as connection:
            jobs = connection.execute(query.order_by(JOBS.c.identifier).limit(most)).all()
            for identifier, last in jobs:
                connection.execute(delete(EVENTS).where(EVENTS.c.job == identifier, EVENTS.c.sequence < last))
        return len(jobs)


def _claimed(connection: Connection, identifier: str, attempt: int) -> JobRecord:
    """The job of an attempt that is its last; raises LostJobError."""
    job = get(connection, identifier)
    if job.attempt != attempt or not job.owner:
        raise LostJobError(f"trainJobs/{identifier} is {job.state} in attempt {job.attempt}, not in {attempt}")
    return job


def _require_living(job: JobRecord, what: str) -> None:
    if job.state.terminal:
        raise FailedPreconditionError(
            f"trainJobs/{job.identifier} has ended ({job.state}); there is nothing to {what}", reason=Reason.JOB_ENDED
        )


def _stopping(identifier: str, why: str) -> FailedPreconditionError:
    return FailedPreconditionError(f"trainJobs/{identifier} {why}", reason=Reason.JOB_STOPPING)


def _waiting(connection: Connection, tenant: str) -> tuple[int, int]:
    """How many jobs wait, and how many of a tenant's. Of many who ask at once, one after the other is let in."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _QUEUE_LOCK})
    query = select(JOBS.c.tenant, func.count()).where(in_states([State.QUEUED]), JOBS.c.owner == "")
    counts = {row[0]: int(row[1]) for row in connection.execute(query.group_by(JOBS.c.tenant))}
    return sum(counts.values()), counts.get(tenant, 0)
