"""What PostgreSQL tells this server of jobs that other servers write to, by LISTEN and NOTIFY."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import structlog

from headstart_server.core.errors import FailedPreconditionError, HeadstartError
from headstart_server.core.reasons import Reason
from headstart_server.jobs.connections import CHANNEL, Database, of_the_driver
from headstart_server.jobs.records import News

_log = structlog.get_logger()
_PRESENCE_LOCK = 0x4845_4150  # an arbitrary key of PostgreSQL's advisory locks
_RETRY_SECONDS = 1.0


class Notices:
    """Listens on a connection of its own, and asks every few seconds as well: a notice may be lost with a connection.

    Args:
        database: The job store's.
        hear: Is called for each notice.
        look: Is called where notices may have been missed, and every `look_seconds`.
        alone: Whether this server's storage is its own, so that no other may use the database meanwhile.
        look_seconds: How long news may take where notices do not come through.
    """

    def __init__(
        self,
        database: Database,
        hear: Callable[[News], Awaitable[None]],
        look: Callable[[], Awaitable[None]],
        *,
        alone: bool,
        look_seconds: float = 5.0,
    ) -> None:
        self._engine = database.engine
        self._hear, self._look, self._alone, self._look_seconds = hear, look, alone, look_seconds
        self._tasks: list[asyncio.Task[None]] = []
        self._connection: Any = None

    async def start(self) -> None:
        """Listens from here on; raises FailedPreconditionError where another server uses the database that may not."""
        import psycopg  # an extra, of servers on PostgreSQL alone

        try:
            await self._connect()
        except psycopg.Error as error:
            raise FailedPreconditionError(
                f"the job database takes no connection to listen on: {str(error).strip().splitlines()[0]}; check "
                "--database-url, and how many connections the database allows",
                reason=Reason.BAD_DATABASE,
            ) from error
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._poll())]

    async def close(self) -> None:
        """Stops listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection is not None:
            await self._connection.close()

    async def _connect(self) -> None:
        import psycopg

        connection = await psycopg.AsyncConnection.connect(autocommit=True, **of_the_driver(self._engine))
        async with AsyncExitStack() as opened:
            opened.push_async_callback(connection.close)
            # held as long as the connection: by all servers that share a storage, or by one that shares none
            lock = "pg_try_advisory_lock" + ("" if self._alone else "_shared")
            found = await connection.execute(f"SELECT {lock}(%s)", (_PRESENCE_LOCK,))
            row = await found.fetchone()
            if row is None or not row[0]:
                raise FailedPreconditionError(
                    "another server uses this job database (or one did that was lost half a minute ago), and the two "
                    "share no files: give all of them the same --storage-url, and each a --state-dir of its own",
                    reason=Reason.IN_USE,
                )
            await connection.execute(f"LISTEN {CHANNEL}")
            opened.pop_all()
        self._connection = connection

    async def _listen(self) -> None:
        while True:
            try:
                if self._connection is None:
                    await self._connect()
                    await self._look()  # what was told meanwhile
                async for notice in self._connection.notifies():
                    await self._tell(notice.payload)
            except Exception as error:  # noqa: BLE001 - whatever ends a connection, the next one is tried for
                _log.warning("the job database tells no news", error=repr(error)[:300])
            if self._connection is not None:
                await self._connection.close()
                self._connection = None
            await asyncio.sleep(_RETRY_SECONDS)

    async def _tell(self, payload: str) -> None:
        try:
            await self._hear(News.of(payload))
        except ValueError:
            _log.warning("a notice that no server of this version sends", payload=payload[:80])
        except HeadstartError as error:  # it is read at the next look
            _log.warning("news could not be read", error=error.message)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._look_seconds)
            try:
                await self._look()
            except HeadstartError as error:
                _log.warning("news could not be read", error=error.message)
            except Exception:  # noqa: BLE001 - who watches would never hear of anything again
                _log.exception("news could not be read")
