"""Reads and writes of the job store that have to succeed: tried again for as long as the store is away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

import structlog

from headstart_server.core.errors import OverloadedError, StoreFullError, UnavailableError
from headstart_server.core.executors import Executor
from headstart_server.jobs.event_log import EventLog
from headstart_server.jobs.log_writer import Appended
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.store import JobStore

P = ParamSpec("P")
T = TypeVar("T")
_log = structlog.get_logger()
_PASSING = (UnavailableError, StoreFullError, OverloadedError)
"""What may be mended by itself. Any other refusal would be the same at the next try."""


class Persisting:
    """For what nobody else would store: what a worker has reported is gone once it is dropped."""

    def __init__(self, store: JobStore, log: EventLog, reads: Executor, retry_seconds: float) -> None:
        self._store, self._log, self._reads, self._seconds = store, log, reads, retry_seconds

    async def write(
        self, write: Callable[Concatenate[str, P], Appended], identifier: str, *args: P.args, **kwargs: P.kwargs
    ) -> JobRecord:
        """As EventLog.write."""
        return await self._tried(identifier, lambda: self._log.write(write, identifier, *args, **kwargs))

    async def read(self, identifier: str) -> JobRecord:
        """One job; raises NotFoundError or DataLossError."""
        return await self._tried(identifier, lambda: self._reads.run(self._store.get, identifier))

    async def _tried(self, identifier: str, call: Callable[[], Awaitable[T]]) -> T:
        told = False
        while True:
            try:
                return await call()
            except _PASSING as error:
                if not told:
                    _log.warning("the job store is away; trying again", job=identifier, error=error.message)
                told = True
            await asyncio.sleep(self._seconds)
