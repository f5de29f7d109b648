"""The durable store of export jobs: created, claimed by one server at a time, told of, and ended, in the job database.

A claim counts the attempts; with the server's name, which no other process has, the number is a fencing token.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, text, update
from sqlalchemy.engine import Connection, RowMapping

from headstart_server.core.errors import DataLossError, FailedPreconditionError, NotFoundError
from headstart_server.engines.envelopes import predictions_order
from headstart_server.jobs.connections import Database
from headstart_server.jobs.export_queue import in_states, next_in_line, places_in_line, predicts
from headstart_server.jobs.export_records import (
    ExportEnd,
    ExportRecord,
    ExportState,
    Stage,
    died,
    plain_error,
)
from headstart_server.jobs.export_rows import order_values, record_of, row_of
from headstart_server.jobs.tables import EXPORTS

_log = structlog.get_logger()
_QUEUE_LOCK = 0x4845_4158  # an arbitrary key of PostgreSQL's advisory locks
MOST_ATTEMPTS = 3
"""Servers that may be lost over one export, which may be why they were."""
_AGAIN = Stage("wait", "the server that made it is gone; it is made again")
_STARTS = Stage("wait", "a process is being started for it")


class LostExportError(Exception):
    """The export is no longer that of the attempt that reports: another server has taken it, or it has ended."""


class ExportStore:
    """Thread-safe. Raises UnavailableError while the database does not answer.

    Args:
        database: The job store's.
        owner: A name that no other process has, at most 64 characters.
        lease_seconds: For how long a claim holds that is not renewed.
    """

    def __init__(self, database: Database, owner: str = "", lease_seconds: float = 30.0) -> None:
        self.database, self.owner, self.lease_seconds = database, owner, lease_seconds

    def create(
        self,
        job: ExportRecord,
        require: Callable[[int, int], None] = lambda unfinished, own: None,
        looked: datetime | None = None,
    ) -> ExportRecord:
        """Stores a new export, or returns the one that has the same order and is not over.

        One that has SUCCEEDED already is found by its artifact, or, where it has since that was `looked` for, by its
        order. `require` is told how many exports are unfinished, of all tenants and of this one's, and may raise to
        refuse one more.
        """
        if job.state.terminal:
            same = and_(_ordered(job), EXPORTS.c.artifact == job.artifact)
        else:
            found = in_states(_UNFINISHED)
            if looked is not None:
                found = or_(found, and_(in_states([ExportState.SUCCEEDED]), EXPORTS.c.end_time >= looked.isoformat()))
            same = and_(_ordered(job), found)
        with self.database.writing() as connection:
            if self.database.shared:
                # of those who ask for the same at once one after the other looks whether it is there
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _QUEUE_LOCK})
            known = connection.execute(select(EXPORTS).where(same).limit(1)).mappings().first()
            if known is not None:
                return self._seen(connection, [record_of(known)])[0]
            if not job.state.terminal:
                own = and_(in_states(_UNFINISHED), EXPORTS.c.tenant == job.tenant)
                require(_count(connection, in_states(_UNFINISHED)), _count(connection, own))
            connection.execute(insert(EXPORTS).values(row_of(job)))
            return self._seen(connection, [record_of(_found(connection, job.identifier))])[0]

    def get(self, identifier: str, tenant: str | None = None) -> ExportRecord:
        """One export, of a tenant where one is given; raises NotFoundError."""
        with self.database.reading() as connection:
            return self._seen(connection, [record_of(_found(connection, identifier, tenant))])[0]

    def several(self, identifiers: Sequence[str]) -> list[ExportRecord]:
        """Those of some exports that there are, and can be read."""
        with self.database.reading() as connection:
            rows = connection.execute(select(EXPORTS).where(EXPORTS.c.identifier.in_(identifiers))).mappings().all()
            return self._seen(connection, _readable(rows))

    def newest(self, tenant: str, limit: int, before: str | None = None, model: str = "") -> list[ExportRecord]:
        """A tenant's exports, newest first: those before one, of one model where it is named."""
        query = select(EXPORTS).where(EXPORTS.c.tenant == tenant)
        if before is not None:
            query = query.where(EXPORTS.c.identifier < before)
        if model:
            query = query.where(EXPORTS.c.model == model)
        with self.database.reading() as connection:
            rows = connection.execute(query.order_by(EXPORTS.c.identifier.desc()).limit(limit)).mappings().all()
            return self._seen(connection, _readable(rows))

    def user_of(self, dataset: str) -> str | None:
        """An unfinished export that reads a data set, if there is one."""
        with self.database.reading() as connection:
            query = select(EXPORTS.c.identifier, EXPORTS.c.predictions).where(predicts(), in_states(_UNFINISHED))
            for identifier, order in connection.execute(query):
                with suppress(ValueError):  # damaged: it cannot be made, and reads nothing
                    predictions = predictions_order(order)
                    if predictions is not None and predictions.source.dataset == dataset:
                        return str(identifier)
        return None

    def unfinished(self) -> int:
        """How many exports wait or run, on all servers."""
        with self.database.reading() as connection:
            return _count(connection, in_states(_UNFINISHED))

    def claim(self, *, predictions: bool = False) -> ExportRecord | None:
        """Takes an export, of models or of predictions: of the tenant with the fewest that run, the one that has waited
        longest; None where none waits.

        Of servers that ask at once each gets another one.
        """
        while True:
            with self.database.writing() as connection:
                row = next_in_line(connection, predicts() == predictions)
                if row is None:
                    return None
                if not _sound(connection, row):
                    continue
                until = self.database.now(connection) + self.lease_seconds
                claimed = {"owner": self.owner, "lease_until": until, "attempt": row["attempt"] + 1}
                now = datetime.now(UTC).isoformat()
                _change(connection, row["identifier"], ExportState.RUNNING, _STARTS, **claimed, start_time=now)
                return record_of(_found(connection, row["identifier"]))

    def renew(self, attempts: Mapping[str, int]) -> set[str]:
        """Holds on to some exports, by the number of this server's attempt; returns those that it still has."""
        with self.database.writing() as connection:
            until = self.database.now(connection) + self.lease_seconds
            held = self._held(connection, attempts)
            connection.execute(update(EXPORTS).where(EXPORTS.c.identifier.in_(held)).values(lease_until=until))
        return held

    def held(self, attempts: Mapping[str, int]) -> set[str]:
        """Which of some exports this server still has."""
        with self.database.reading() as connection:
            return self._held(connection, attempts)

    def tell(self, identifier: str, attempt: int, stage: Stage) -> None:
        """Notes which step runs; raises LostExportError."""
        with self.database.writing() as connection:
            self._require_mine(connection, identifier, attempt)
            _change(connection, identifier, ExportState.RUNNING, stage)

    def end(self, identifier: str, attempt: int, end: ExportEnd) -> None:
        """Ends an attempt and its export; raises LostExportError."""
        with self.database.writing() as connection:
            self._require_mine(connection, identifier, attempt)
            _finish(connection, identifier, end)

    def give_back(self, identifier: str, attempt: int) -> None:
        """Queues an export again whose server stops in good order, which does not count as an attempt; raises
        LostExportError."""
        with self.database.writing() as connection:
            self._require_mine(connection, identifier, attempt)
            _requeue(connection, identifier, attempt=attempt - 1)

    def cancel(self, identifier: str) -> ExportRecord:
        """Ends an export on request, whichever server makes it, and leaves a cancelled one as it is; raises
        FailedPreconditionError for one that has ended otherwise."""
        with self.database.writing() as connection:
            found = record_of(_found(connection, identifier, lock=True))
            if found.state is ExportState.CANCELLED:
                return found
            if found.state.terminal:
                message = f"exportJobs/{identifier} has ended ({found.state}); there is nothing to cancel"
                raise FailedPreconditionError(message)
            _finish(connection, identifier, ExportEnd(ExportState.CANCELLED))
            return record_of(_found(connection, identifier))

    def reap(self, mine: Collection[str] = (), *, alone: bool = False) -> list[ExportRecord]:
        """Takes exports from servers whose lease has run out; with `alone`, from every other server, for there is none.

        They wait again; one over which several servers were lost has failed. So does one that this server has claimed,
        and does not know of because the database's answer was lost: `mine` are those that it knows of.
        """
        elsewhere = or_(EXPORTS.c.owner != self.owner, EXPORTS.c.identifier.not_in(list(mine)))
        lost = select(EXPORTS).where(in_states([ExportState.RUNNING]), elsewhere)
        with self.database.writing() as connection:
            if not alone:
                lost = lost.where(EXPORTS.c.lease_until < self.database.now(connection))
            found = connection.execute(lost.with_for_update(skip_locked=True)).mappings().all()
            rows = [row for row in found if _sound(connection, row)]
            for row in rows:
                if row["attempt"] < MOST_ATTEMPTS:
                    _requeue(connection, row["identifier"], attempt=row["attempt"])
                else:
                    error = died(f"{row['attempt']} servers were lost while they exported the model", row["format"])
                    _finish(connection, row["identifier"], ExportEnd(ExportState.FAILED, error=error))
            return [record_of(_found(connection, row["identifier"])) for row in rows]

    def expire(self, before: datetime) -> int:
        """Deletes what ended before a time; returns how many."""
        ended = and_(EXPORTS.c.state.not_in(_UNFINISHED), EXPORTS.c.end_time < before.isoformat())
        with self.database.writing() as connection:
            return connection.execute(delete(EXPORTS).where(ended)).rowcount

    def _held(self, connection: Connection, attempts: Mapping[str, int]) -> set[str]:
        mine = and_(EXPORTS.c.owner == self.owner, EXPORTS.c.identifier.in_(list(attempts)))
        found = connection.execute(select(EXPORTS.c.identifier, EXPORTS.c.attempt).where(mine))
        return {identifier for identifier, attempt in found if attempts[identifier] == attempt}

    def _require_mine(self, connection: Connection, identifier: str, attempt: int) -> None:
        row = connection.execute(_one(identifier).with_for_update()).mappings().first()
        if row is None or (row["owner"], row["attempt"]) != (self.owner, attempt):
            raise LostExportError(f"exportJobs/{identifier} is not this server's in attempt {attempt}")

    def _seen(self, connection: Connection, found: list[ExportRecord]) -> list[ExportRecord]:
        """Exports, each that waits with how many wait before it."""
        if all(job.state is not ExportState.QUEUED for job in found):
            return found
        places = places_in_line(connection)
        return [replace(job, jobs_before=places.get(job.identifier)) for job in found]


_UNFINISHED = [state.value for state in ExportState if not state.terminal]


def _readable(rows: Iterable[RowMapping]) -> list[ExportRecord]:
    found = []
    for row in rows:
        try:
            found.append(record_of(row))
        except DataLossError as error:
            _log.warning("left out of lists", resource=f"exportJobs/{row['identifier']}", error=error.message)
    return found


def _sound(connection: Connection, row: RowMapping) -> bool:
    """Whether an unfinished export can be read; one that cannot is ended, so that it holds nobody up."""
    try:
        record_of(row)
    except DataLossError as error:
        _log.warning("an export cannot be made", resource=f"exportJobs/{row['identifier']}", error=error.message)
        _finish(connection, row["identifier"], ExportEnd(ExportState.FAILED, error=error))
        return False
    return True


def _ordered(job: ExportRecord) -> ColumnElement[bool]:
    same = (EXPORTS.c[name] == value for name, value in order_values(job.order).items())
    return and_(EXPORTS.c.tenant == job.tenant, *same)


def _count(connection: Connection, condition: ColumnElement[bool]) -> int:
    return int(connection.execute(select(func.count()).select_from(EXPORTS).where(condition)).scalar_one())


def _one(identifier: str) -> Any:
    return select(EXPORTS).where(EXPORTS.c.identifier == identifier)


def _found(connection: Connection, identifier: str, tenant: str | None = None, *, lock: bool = False) -> RowMapping:
    """A row; raises NotFoundError where there is none, or it is another tenant's."""
    query = _one(identifier)
    row: RowMapping | None = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None or tenant not in (None, row["tenant"]):
        raise NotFoundError(f"exportJobs/{identifier} does not exist", field="name")
    return row


def _change(connection: Connection, identifier: str, state: ExportState, stage: Stage, **changes: Any) -> None:
    changed = {"state": state.value, **vars(stage), **changes}
    values = {**changed, "update_time": datetime.now(UTC).isoformat()}
    connection.execute(update(EXPORTS).where(EXPORTS.c.identifier == identifier).values(values))


def _requeue(connection: Connection, identifier: str, *, attempt: int) -> None:
    _change(connection, identifier, ExportState.QUEUED, _AGAIN, owner="", lease_until=0.0, attempt=attempt)


def _finish(connection: Connection, identifier: str, end: ExportEnd) -> None:
    error = json.dumps(plain_error(end.error) if end.error is not None else None)
    now = datetime.now(UTC).isoformat()
    ended = {"artifact": end.artifact, "error": error, "end_time": now, "owner": "", "lease_until": 0.0}
    _change(connection, identifier, end.state, Stage("", ""), **ended)
