"""What is read from the job store."""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

import structlog
from sqlalchemy import and_, func, not_, or_, select
from sqlalchemy.engine import Connection, RowMapping

from headstart_server import metrics
from headstart_server.core.errors import DataLossError, NotFoundError, OutOfRangeError
from headstart_server.core.reasons import Reason
from headstart_server.core.states import State
from headstart_server.engines.events import from_plain
from headstart_server.jobs.connections import Database
from headstart_server.jobs.database import count_states, damage_named, from_row, in_states
from headstart_server.jobs.history import JobHistory, history_of
from headstart_server.jobs.listing import JobList
from headstart_server.jobs.records import JobRecord, LogEntry, News, StateCount
from headstart_server.jobs.tables import EVENTS, JOBS

_log = structlog.get_logger()

_LAST = 2**31 - 1
"""The largest number of an event that a database holds."""


class JobQueries:
    """Thread-safe. Raises UnavailableError while the database does not answer."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._damaged: frozenset[str] = frozenset()
        """Jobs that were found to be damaged and are not deleted yet."""

    def ping(self) -> None:
        """Raises UnavailableError where the database does not answer."""
        with self.database.reading() as connection:
            connection.execute(select(JOBS.c.identifier).limit(1)).first()

    def moment(self) -> datetime:
        """The time by the clock that servers share."""
        with self.database.reading() as connection:
            return self.database.moment(connection)

    def get(self, identifier: str) -> JobRecord:
        """One job; raises NotFoundError."""
        with self.database.reading() as connection:
            return get(connection, identifier, lock=False)

    def require(self, tenant: str, identifier: str) -> None:
        """Raises NotFoundError for a job that is not the tenant's, as for one that does not exist."""
        query = select(JOBS.c.identifier).where(JOBS.c.identifier == identifier, JOBS.c.tenant == tenant)
        with self.database.reading() as connection:
            if connection.execute(query).first() is None:
                raise _missing(identifier)

    def unpublished(self, models: Collection[str]) -> set[str]:
        """Of these models those whose jobs have not succeeded. A worker may have published them all the same: that is
        done before its job's end is recorded, and may be undone. Those of jobs that are deleted stay published."""
        otherwise = in_states([state for state in State if state is not State.SUCCEEDED])
        query = select(JOBS.c.identifier).where(JOBS.c.identifier.in_(models), otherwise)
        with self.database.reading() as connection:
            return set(connection.execute(query).scalars())

    def newest(
        self,
        limit: int,
        before: str | None = None,
        states: Sequence[State] = (),
        readable: Callable[[JobRecord], object] = lambda job: job,
        *,
        tenant: str | None = None,
        whole: bool = True,
    ) -> list[JobRecord]:
        """Jobs newest first, those older than `before`. See `listed`."""
        after = ("", before) if before else None
        return self.listed(limit, JobList(tenant, states, after=after, whole=whole), readable)

    def listed(
        self, limit: int, wanted: JobList, readable: Callable[[JobRecord], object] = lambda job: job
    ) -> list[JobRecord]:
        """At most so many jobs of a list.

        Damaged ones, of which `readable` may find more by raising DataLossError, are left out, logged once and counted.
        """
        found: list[JobRecord] = []
        while len(found) < limit:
            asked = limit - len(found)
            with self.database.reading() as connection:
                rows = connection.execute(wanted.query(asked)).mappings().all()
            found += filter(None, (self._sound(row, readable) for row in rows))
            if len(rows) < asked:
                break
            wanted = replace(wanted, after=wanted.order.row_position(rows[-1]))
        return found

    def history(self, identifier: str) -> JobHistory:
        """What a job's log tells as a whole."""
        with self.database.reading() as connection:
            return history_of(connection, identifier)

    def existing(self, identifiers: Sequence[str]) -> set[str]:
        """Those of some jobs that exist."""
        query = select(JOBS.c.identifier).where(JOBS.c.identifier.in_(identifiers))
        with self.database.reading() as connection:
            return set(connection.execute(query).scalars())

    def earliest(self, states: Sequence[State]) -> datetime | None:
        """When the oldest job in some states was created; None where there is none."""
        with self.database.reading() as connection:
            # as texts, ISO 8601 in UTC sorts by time
            found = connection.execute(select(func.min(JOBS.c.create_time)).where(in_states(states))).scalar()
        return datetime.fromisoformat(found) if found else None

    def states(self) -> dict[State, StateCount]:
        """How many jobs are in each state, and since when the first of them has been there."""
        with self.database.reading() as connection:
            return count_states(connection)

    def news(self, identifiers: Iterable[str]) -> list[News]:
        """How far some jobs are; those that do not exist, or are damaged, are left out."""
        columns = (JOBS.c.identifier, JOBS.c.last_sequence, JOBS.c.state)
        query = select(*columns).where(JOBS.c.identifier.in_(list(identifiers)))
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        return [News(row[0], row[1], State(row[2])) for row in rows if row[2] in State.__members__]

    def jobs_before(self, identifier: str) -> int:
        """How many jobs wait that come before one that waits: older ones, and its tenant's of a higher priority."""
        own = select(JOBS.c.tenant, JOBS.c.priority).where(JOBS.c.identifier == identifier).subquery()
        mine, older = JOBS.c.tenant == own.c.tenant, JOBS.c.identifier < identifier
        ahead = or_(JOBS.c.priority > own.c.priority, and_(JOBS.c.priority == own.c.priority, older))
        query = select(func.count()).where(
            in_states([State.QUEUED]), JOBS.c.owner == "", or_(and_(mine, ahead), and_(not_(mine), older))
        )
        with self.database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def user_of(self, dataset: str, states: Sequence[State]) -> str | None:
        """The id of a job in some states that reads an uploaded data set; None where there is none."""
        # the text narrows the jobs down; the JSON tells whether one of the sources is the data set
        query = select(JOBS.c.identifier, JOBS.c.sources).where(
            in_states(states), JOBS.c.sources.contains(dataset, autoescape=True)
        )
        with self.database.reading() as connection:
            for identifier, sources in connection.execute(query):
                with suppress(
                    ValueError, AttributeError, TypeError
                ):  # of a damaged job, whose id names the data set at least
                    if all(source.get("dataset") != dataset for source in json.loads(sources)):
                        continue
                return str(identifier)
        return None

    def events(self, identifier: str, after: int, limit: int = 200) -> list[LogEntry]:
        """Events after a sequence number, in order; raises OutOfRangeError where the next one is no longer kept."""
        after = min(after, _LAST)
        query = (
            select(EVENTS)
            .where(EVENTS.c.job == identifier, EVENTS.c.sequence > after)
            .order_by(EVENTS.c.sequence)
            .limit(limit)
        )
        with self.database.reading() as connection:
            rows = connection.execute(query).mappings().all()
        if rows and rows[0]["sequence"] > after + 1:
            kept = rows[0]["sequence"]
            raise OutOfRangeError(
                f"the events {after + 1} to {kept - 1} of trainJobs/{identifier} are no longer kept; watch it after "
                f"{kept - 1}, or read what became of it with GetTrainJob",
                reason=Reason.EVENTS_EXPIRED,
                field="after_sequence",
            )
        with damage_named(identifier):
            return [
                LogEntry(
                    row["sequence"],
                    datetime.fromisoformat(row["time"]),
                    from_plain(row["kind"], json.loads(row["data"])),
                )
                for row in rows
            ]

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


def get(connection: Connection, identifier: str, *, lock: bool = True) -> JobRecord:
    """One job, locked until the transaction ends where the database locks by row; raises NotFoundError."""
    query = select(JOBS).where(JOBS.c.identifier == identifier)
    # SQLite has no FOR UPDATE, which SQLAlchemy leaves out there: BEGIN IMMEDIATE locks the whole database
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        raise _missing(identifier)
    return from_row(row)


def _missing(identifier: str) -> NotFoundError:
    return NotFoundError(f"trainJobs/{identifier} does not exist", field="name")
