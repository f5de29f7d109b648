"""Who this server is among those that share a database, and what it alone works with."""

import os
import secrets
import socket
from contextlib import ExitStack, closing
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.exclusive import Exclusive
from headstart_server.core.layout import Layout
from headstart_server.core.reasons import Reason


class Identity:
    """Held to the end of the process. Raises FailedPreconditionError where another server has the state directory or
    the SQLite file, or the URL is none."""

    def __init__(self, layout: Layout, database_url: str) -> None:
        self.database_url = database_url or f"sqlite:///{layout.database}"
        """SQLAlchemy's."""
        # the number tells a server from the one before it on the same machine, or in the same pod
        self.name = f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(4)}"
        """That no other server has or had."""
        with ExitStack() as held:
            held.enter_context(closing(Exclusive(layout.lock, f"state directory {str(layout.root)!r}")))
            file = _sqlite_file(self.database_url)
            if file is not None and file.parent != layout.root:
                held.enter_context(closing(_held_database(file)))
            self._held = held.pop_all()

    def close(self) -> None:
        """Lets others have what this server had."""
        self._held.close()


def _held_database(file: Path) -> Exclusive:
    try:
        return Exclusive(file.with_name(f"{file.name}.lock"), f"job database {file.name!r}")
    except OSError as error:
        raise FailedPreconditionError(
            f"the job database cannot be used: {error.strerror}; check --database-url", reason=Reason.BAD_DATABASE
        ) from error


def _sqlite_file(url: str) -> Path | None:
    """The file of an SQLite database; None for others, and for one in memory."""
    try:
        found = make_url(url)
    except ArgumentError as error:
        raise FailedPreconditionError(
            "--database-url is no URL of SQLAlchemy's, such as postgresql+psycopg://user@host/database",
            reason=Reason.BAD_DATABASE,
        ) from error
    if found.get_backend_name() != "sqlite" or not found.database or found.database == ":memory:":
        return None
    return Path(found.database).resolve()
