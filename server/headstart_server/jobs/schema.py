"""The version of the job database's schema: older ones are upgraded at the start, later ones are refused."""

from collections.abc import Callable, Mapping

from sqlalchemy import Column, Engine, Integer, MetaData, Table, insert, inspect, select, update
from sqlalchemy.engine import Connection

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.reasons import Reason
from headstart_server.jobs.database import JOBS, METADATA

_METADATA = MetaData()
_VERSION = Table("schema_version", _METADATA, Column("version", Integer, primary_key=True, autoincrement=False))


def _evaluations_are_events(_: Connection) -> None:
    """1 to 2: jobs log `evaluated` events, which releases before know nothing of. No table changes."""


_STEPS: Mapping[int, Callable[[Connection], None]] = {1: _evaluations_are_events}
"""By version: what makes the next one of it."""
CURRENT = max(_STEPS) + 1


def prepare(engine: Engine, current: int = CURRENT, steps: Mapping[int, Callable[[Connection], None]] = _STEPS) -> None:
    """Makes the tables of a new database, or brings those of an older one up to date, in one transaction.

    Raises FailedPreconditionError for a database of a later version, and changes nothing of it.
    """
    with engine.begin() as connection:
        found = _found(connection, current)
        if found > current:
            raise FailedPreconditionError(
                f"the job database has schema {found}, and this version of Headstart knows {current}: a later one has "
                "used it; start that one, or restore the backup from before the upgrade",
                reason=Reason.BAD_DATABASE,
            )
        METADATA.create_all(connection)
        _METADATA.create_all(connection)
        for version in range(found, current):
            steps[version](connection)
        if connection.execute(update(_VERSION).values(version=current)).rowcount == 0:
            connection.execute(insert(_VERSION).values(version=current))


def _found(connection: Connection, current: int) -> int:
    """The version of a database: that of a new one is the current one, and 1 that of one without a note of it."""
    tables = inspect(connection).get_table_names()
    if _VERSION.name in tables:
        return int(connection.execute(select(_VERSION.c.version)).scalar() or 1)
    return 1 if JOBS.name in tables else current
