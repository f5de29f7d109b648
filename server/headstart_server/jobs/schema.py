"""The schema of the job database: made, upgraded by revisions (`migrations/`), and refused where it does not fit."""

from importlib.resources import as_file, files

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Engine, inspect, text
from sqlalchemy.engine import Connection

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.reasons import Reason

_MIGRATIONS = files("headstart_server.jobs") / "migrations"
"""A folder of scripts, not a package: alembic runs them, and nobody imports them."""
_LOCK = 0x4845_4144  # an arbitrary key of PostgreSQL's advisory locks, the same in every version
_OLD_NOTE, _OLD_VERSIONS = "schema_version", (1, 2)
"""Where releases before revisions noted their version. Both had the tables of the first revision."""


def current_revision() -> str:
    """The one that this version of Headstart works with."""
    with as_file(_MIGRATIONS) as folder:
        return ScriptDirectory(str(folder)).get_current_head() or ""


def upgrade(engine: Engine) -> tuple[str, str]:
    """Brings a database to the current revision, in one transaction; returns the revision before and after.

    Of several processes that do so at once one does it, and the others find it done. Raises FailedPreconditionError
    for a database of a later version, and changes nothing of it.
    """
    with engine.begin() as connection, as_file(_MIGRATIONS) as folder:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(folder))
        before = _revision(connection)
        try:
            if before == "":
                before = _adopt(connection, config)
            if before != current_revision():
                command.upgrade(config, "head")
        except CommandError as error:
            raise _later(before) from error
        return before, current_revision()


def check(engine: Engine) -> None:
    """Raises FailedPreconditionError for a database that is not at the current revision."""
    with engine.connect() as connection:
        found = _revision(connection)
    if found == current_revision():
        return
    with as_file(_MIGRATIONS) as folder:
        known = {script.revision for script in ScriptDirectory(str(folder)).walk_revisions()}
    if found and found not in known:
        raise _later(found)
    raise FailedPreconditionError(
        f"the job database has schema {found or 'none'}, and this version of Headstart needs {current_revision()}: run "
        "`headstart migrate` with the same --database-url, or start with --migrate",
        reason=Reason.BAD_DATABASE,
    )


def _revision(connection: Connection) -> str:
    """Empty for a database without any, or of a release before revisions."""
    return MigrationContext.configure(connection).get_current_revision() or ""


def _adopt(connection: Connection, config: Config) -> str:
    """Notes the first revision for a database of a release before revisions; returns it, or nothing for a new one."""
    tables = inspect(connection).get_table_names()
    if _OLD_NOTE in tables:
        noted = connection.execute(text(f"SELECT version FROM {_OLD_NOTE}")).scalar()
        if noted not in _OLD_VERSIONS:
            raise _later(str(noted))
    if "jobs" not in tables:
        return ""
    command.stamp(config, "0001")
    return "0001"


def _later(found: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        f"the job database has schema {found}, and this version of Headstart knows {current_revision()}: a later one "
        "has used it; start that one, or restore the backup from before the upgrade",
        reason=Reason.BAD_DATABASE,
    )
