"""Connections to the job store's database: transactions that lock, its clock, its notices, and what it fails of."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import URL, create_engine, event, make_url, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as NoConnectionError

from headstart_server.core.errors import FailedPreconditionError, StoreFullError, UnavailableError
from headstart_server.core.reasons import Reason

_log = structlog.get_logger()
CHANNEL = "headstart_jobs"
"""On which PostgreSQL tells every server that a job has news."""
READS = "headstart_reads"
"""Execution option of connections that only read."""
_RETRY_SECONDS = 5.0
_CONNECTIONS, _MORE_CONNECTIONS = 8, 8
_POSTGRES = {
    "connect_timeout": 5,
    # a connection whose other end is gone is noticed in seconds, not after the system's two hours
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
_POSTGRES_SETTINGS = {
    # milliseconds; what a lock or a disk holds up for longer fails, and is tried again by whoever asked
    "statement_timeout": 30_000,
    "lock_timeout": 15_000,
    "idle_in_transaction_session_timeout": 60_000,
    # seconds: PostgreSQL, too, notices soon that a server is gone, and gives up the locks that it had
    "tcp_keepalives_idle": 5,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
}
_STATEMENTS = 32
"""That each SQLite connection keeps prepared, some kilobytes each: lists of other lengths are other statements."""
_FULL = ("disk is full", "no space left", "could not extend file")
"""How SQLite and PostgreSQL say that their disk is full."""


class Database:
    """The transactions of one process. Raises UnavailableError while the database does not answer or refuses to write,
    and StoreFullError where its disk is full; both may be mended by themselves."""

    def __init__(self, url: str) -> None:
        self.engine = connect(url)
        self.shared = self.engine.dialect.name != "sqlite"
        """Whether other servers may use it as well."""
        self._reading = self.engine.execution_options(**{READS: True})

    def close(self) -> None:
        """Closes every connection."""
        self.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that waits for no writer."""
        with _failures_named(), self._reading.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is committed at the end, and rolled back where something is raised."""
        with _failures_named(), self.engine.begin() as connection:
            yield connection

    def now(self, connection: Connection) -> float:
        """Seconds since 1970 by the clock that all servers share: PostgreSQL's, or that of SQLite's only machine."""
        if not self.shared:
            return time.time()
        return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    def moment(self, connection: Connection) -> datetime:
        """As `now`, in UTC: a server whose own clock is fast must not end everybody's jobs."""
        return datetime.fromtimestamp(self.now(connection), UTC)


def connect(url: str) -> Engine:
    """An engine whose transactions lock what they read before they write it, unless their option `READS` is set."""
    if not url.startswith("sqlite"):
        known = {"connect_args": _beside(make_url(url))} if url.startswith("postgresql") else {}
        return create_engine(
            url,
            pool_pre_ping=True,  # a connection that the database has closed is replaced, not handed out
            pool_size=_CONNECTIONS,
            max_overflow=_MORE_CONNECTIONS,
            pool_timeout=15,
            **known,
        )
    engine = create_engine(url, connect_args={"cached_statements": _STATEMENTS})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        connection.isolation_level = None  # transactions are begun below, not by the driver
        cursor.execute("PRAGMA journal_mode=WAL")  # readers wait for no writer
        cursor.execute("PRAGMA synchronous=FULL")  # under WAL, NORMAL may lose the last commits to a power failure
        cursor.execute("PRAGMA busy_timeout=10000")  # milliseconds
        # KiB of each connection, of which there are many; the system has the file in its own cache
        cursor.execute("PRAGMA cache_size=-256")
        cursor.close()
        connection.create_function("lower", 1, _lower, deterministic=True)  # its own knows the letters of ASCII alone

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get(READS, False)
        # What is read may then be written; who only reads waits for no writer.
        # A plain BEGIN fails at once when it writes after somebody else has since its read (SQLITE_BUSY_SNAPSHOT).
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def of_the_driver(engine: Engine) -> dict[str, Any]:
    """What psycopg is given for a connection to PostgreSQL like the engine's own, by name."""
    _, named = engine.dialect.create_connect_args(engine.url)
    return {**named, **_beside(engine.url)}


def _beside(url: URL) -> dict[str, Any]:
    """What psycopg is given for PostgreSQL beside a URL, whose own words stay."""
    settings = [f"-c {name}={value}" for name, value in _POSTGRES_SETTINGS.items()]
    # of one that is named twice, the last counts
    options = " ".join([*settings, *_listed(url.query.get("options", ()))])
    return {**{name: value for name, value in _POSTGRES.items() if name not in url.query}, "options": options}


def _listed(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def check(engine: Engine) -> None:
    """Raises sqlalchemy's DatabaseError for an SQLite file with damaged pages; other databases look after theirs."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise DatabaseError("PRAGMA quick_check", None, ValueError(f"its pages are damaged: {found}"))


def notify(connection: Connection, payload: str) -> None:
    """Tells every server, once the transaction is committed. SQLite has one server alone, which knows."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_notify(:channel, :payload)"), {"channel": CHANNEL, "payload": payload})


@contextmanager
def unusable_named(url: str) -> Iterator[None]:
    """Raises FailedPreconditionError for a database that cannot be reached, read or written at the start."""
    remedy = "check --database-url, and whether the database is up and takes this server's connections"
    if url.startswith("sqlite"):
        remedy = (
            "check --database-url, restore headstart.sqlite from a backup, or move it away: models, data sets and "
            "embeddings do not need it"
        )
    try:
        yield
    except ImportError as error:
        raise FailedPreconditionError(
            f"the job database cannot be used without its driver: {error}; pip install 'headstart[postgres]', and "
            "begin --database-url with postgresql+psycopg://",
            reason=Reason.BAD_DATABASE,
        ) from error
    except SQLAlchemyError as error:
        raise FailedPreconditionError(
            f"the job database cannot be used: {_cause(error)}; {remedy}", reason=Reason.BAD_DATABASE
        ) from error


@contextmanager
def _failures_named() -> Iterator[None]:
    try:
        yield
    except (IntegrityError, DataError):
        raise
    except (DatabaseError, InterfaceError, NoConnectionError) as error:
        cause = _cause(error)
        if any(words in cause.lower() for words in _FULL):
            raise StoreFullError(
                "no space left on the disk that holds the job database; free some, and what waits goes on"
            ) from error
        if not isinstance(error, OperationalError | InterfaceError | InternalError | NoConnectionError):
            # a damaged file, or tables that are not there, as while a backup is restored
            _log.error("the job database cannot be used", error=cause)
        raise UnavailableError(
            "the job database does not answer or cannot be written; try again", retry_after=_RETRY_SECONDS
        ) from error


def _cause(error: BaseException) -> str:
    """The driver's own words, in one line."""
    return (str(getattr(error, "orig", None) or error).splitlines() or ["?"])[0][:300]
