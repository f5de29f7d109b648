"""Ends of jobs that have run out of time, and of what ended long enough ago."""

from datetime import datetime, timedelta

from sqlalchemy import select

from headstart_server.core.errors import DataLossError
from headstart_server.core.reasons import Reason
from headstart_server.core.states import State
from headstart_server.engines.events import JobFailure, StateChange
from headstart_server.jobs.connections import Database
from headstart_server.jobs.database import from_row, in_states
from headstart_server.jobs.log_writer import Appended, append
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.tables import JOBS

_TERMINAL = tuple(state for state in State if state.terminal)
_LIVING = tuple(state for state in State if not state.terminal and state is not State.CANCELLING)
_WAITING = (State.QUEUED, State.PAUSED)


def end_overdue(database: Database) -> list[Appended]:
    """Fails jobs that wait past their deadline, and asks those that run to stop: they fail once they have stopped."""
    written = []
    with database.writing() as connection:
        now = database.moment(connection).isoformat()
        overdue = select(JOBS).where(in_states(_LIVING), JOBS.c.deadline.is_not(None), JOBS.c.deadline <= now)
        query = overdue.order_by(JOBS.c.identifier).with_for_update(skip_locked=True)
        for row in connection.execute(query).mappings().all():
            try:
                job = from_row(row)
            except DataLossError:  # told when it is listed
                continue
            state = State.FAILED if job.state in _WAITING else State.CANCELLING
            written.append(append(connection, job, [StateChange(state, error=_failure(job))]))
    return written


def expired(database: Database, most: int = 100) -> list[str]:
    """Ids of jobs that ended longer ago than they are kept."""
    query = select(JOBS.c.identifier, JOBS.c.end_time, JOBS.c.ttl).where(
        JOBS.c.ttl.is_not(None), in_states(_TERMINAL), JOBS.c.end_time.is_not(None)
    )
    with database.reading() as connection:
        now = database.moment(connection)
        rows = connection.execute(query).all()
    return [row[0] for row in rows if datetime.fromisoformat(row[1]) + timedelta(seconds=row[2]) <= now][:most]


def _failure(job: JobRecord) -> JobFailure:
    assert job.deadline is not None
    seconds = (job.deadline - job.create_time).total_seconds()
    message = f"the job had not ended {seconds:g} s after it was created, its timeout; what was encoded is kept"
    return JobFailure(Reason.DEADLINE_EXCEEDED, message, "timeout")
