"""Which server runs which job: claims, leases and their ends, in the database that servers share.

A claim counts the job's attempts, and the number is a fencing token: what an older attempt reports is refused
(https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import structlog
from sqlalchemy import and_, func, or_, select, text, update
from sqlalchemy.engine import Connection

from headstart_server.core.errors import DataLossError
from headstart_server.core.reasons import Notice
from headstart_server.core.states import State
from headstart_server.engines.events import JobEvent, StateChange
from headstart_server.jobs.connections import Database
from headstart_server.jobs.database import from_row, in_states
from headstart_server.jobs.log_writer import Appended, append
from headstart_server.jobs.records import JobRecord, stopped
from headstart_server.jobs.tables import JOBS
from headstart_server.training.reports import JobWarning

_log = structlog.get_logger()
_CLAIM_LOCK = 0x4845_4143  # an arbitrary key of PostgreSQL's advisory locks
_RUN = tuple(state for state in State if not state.terminal and state is not State.QUEUED and state is not State.PAUSED)
"""States in which some server works on a job."""


class Ownership:
    """The claims of one server, which `owner` names. Thread-safe. Raises UnavailableError.

    Args:
        database: The job store's.
        owner: A name that no other process has, at most 64 characters.
        lease_seconds: For how long a claim holds that is not renewed.
        running_limit: How many jobs of a tenant may run at the same time, on all servers; None: any number.
    """

    def __init__(
        self,
        database: Database,
        owner: str,
        lease_seconds: float,
        running_limit: Callable[[str], int | None] = lambda tenant: None,
    ) -> None:
        self.database, self.owner, self.lease_seconds = database, owner, lease_seconds
        self._running_limit = running_limit
        self._damaged: set[str] = set()
        """Jobs that cannot be read, and wait until somebody deletes them."""

    def claim(self) -> JobRecord | None:
        """Takes the next job that waits: of the tenant with the fewest that run, the oldest of the highest priority;
        None where there is none.

        Of servers that ask at once each gets another job.
        """
        while True:
            with self.database.writing() as connection:
                found = self._next(connection)
                if found is None:
                    return None
                row = connection.execute(select(JOBS).where(JOBS.c.identifier == found)).mappings().one()
                try:
                    job = from_row(row)
                except DataLossError as error:
                    _log.warning("left in the queue", resource=f"trainJobs/{found}", error=error.message)
                    self._damaged.add(found)
                    continue
                until = self.database.now(connection) + self.lease_seconds
                claimed = replace(job, owner=self.owner, lease_until=until, attempt=job.attempt + 1)
                changed = {"owner": claimed.owner, "lease_until": until, "attempt": claimed.attempt}
                connection.execute(update(JOBS).where(JOBS.c.identifier == found).values(changed))
                return claimed

    def renew(self, attempts: Mapping[str, int]) -> dict[str, State]:
        """Holds on to some jobs, by the number of this server's attempt; returns the states of those that it still has.

        A lease that has run out meanwhile is renewed where nobody has taken the job.
        """
        held: dict[str, State] = {}
        if not attempts:
            return held
        with self.database.writing() as connection:
            until = self.database.now(connection) + self.lease_seconds
            columns = (JOBS.c.identifier, JOBS.c.attempt, JOBS.c.state)
            mine = select(*columns).where(JOBS.c.owner == self.owner, JOBS.c.identifier.in_(list(attempts)))
            for identifier, attempt, state in connection.execute(mine.order_by(JOBS.c.identifier).with_for_update()):
                if attempts[identifier] == attempt and state in State.__members__:
                    held[identifier] = State(state)
            connection.execute(update(JOBS).where(JOBS.c.identifier.in_(list(held))).values(lease_until=until))
        return held

    def reap(self, mine: Collection[str] = (), *, alone: bool = False) -> list[Appended]:
        """Takes jobs from servers whose lease has run out; with `alone`, from every other server, for there is none.

        They go back to the queue, with a warning in their log; those that were to stop have stopped by that. So do jobs
        that this server has claimed, and does not know of because the database's answer was lost: `mine` are those that
        it knows of.
        """
        reaped = []
        with self.database.writing() as connection:
            # releases before leases noted no owner
            unowned = and_(JOBS.c.owner == "", in_states(_RUN))
            elsewhere = or_(JOBS.c.owner != self.owner, JOBS.c.identifier.not_in(list(mine)))
            lost = select(JOBS).where(elsewhere, or_(JOBS.c.owner != "", unowned))
            if not alone:
                lost = lost.where(JOBS.c.lease_until < self.database.now(connection))
            # those that somebody has locked are being renewed, or reaped, just now
            query = lost.order_by(JOBS.c.identifier).with_for_update(skip_locked=True)
            for row in connection.execute(query).mappings().all():
                try:
                    job = from_row(row)
                except DataLossError:  # told when it is listed
                    continue
                reaped.append(append(connection, job, _events_of_loss(job), owner="", lease_until=0.0))
        return reaped

    def _next(self, connection: Connection) -> str | None:
        """The id of the job to take, locked; None where none may run."""
        if connection.dialect.name == "postgresql":
            # what runs is counted, and one more is added to it, by one server at a time
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _CLAIM_LOCK})
        waits = [in_states([State.QUEUED]), JOBS.c.owner == "", JOBS.c.identifier.not_in(self._damaged)]
        oldest = select(JOBS.c.tenant, func.min(JOBS.c.identifier)).where(*waits).group_by(JOBS.c.tenant)
        candidates = [tuple(row) for row in connection.execute(oldest)]
        if not candidates:
            return None
        counted = select(JOBS.c.tenant, func.count()).where(JOBS.c.owner != "").group_by(JOBS.c.tenant)
        running = {row[0]: int(row[1]) for row in connection.execute(counted)}
        for tenant, _ in sorted(candidates, key=lambda found: (running.get(found[0], 0), found[1])):
            limit = self._running_limit(tenant)
            if limit is not None and running.get(tenant, 0) >= limit:
                continue
            query = select(JOBS.c.identifier).where(*waits, JOBS.c.tenant == tenant)
            query = query.order_by(JOBS.c.priority.desc(), JOBS.c.identifier)
            # one that is locked is being cancelled, say
            found = connection.execute(query.limit(1).with_for_update(skip_locked=True)).scalar()
            if found is not None:
                return str(found)
        return None


def _events_of_loss(job: JobRecord) -> list[JobEvent]:
    """What the log says of a job whose server is gone. One that was claimed and not begun waits as before."""
    if job.state is State.QUEUED or job.state.terminal:
        return []
    warning = JobWarning(
        Notice.SERVER_LOST,
        f"the server {job.owner or 'before'!r} ran the job and is gone; the job goes on from its last checkpoint",
    )
    after, error = stopped(job)
    return [warning, StateChange(after)] if after is State.QUEUED else [StateChange(after, error=error)]
