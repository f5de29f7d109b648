"""What watchers of export jobs are told: each change, at once where this server makes it, else within a second."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import suppress

import structlog

from headstart_server.core.errors import HeadstartError
from headstart_server.core.executors import Executor
from headstart_server.jobs.export_records import ExportRecord
from headstart_server.jobs.export_store import ExportStore

_log = structlog.get_logger()


class ExportWatch:
    """Runs on the server's event loop. One reading of the store serves all who watch, and none is made where nobody
    does."""

    def __init__(self, store: ExportStore, reads: Executor, look_seconds: float = 1.0) -> None:
        self._store, self._reads = store, reads
        # a database of its own changes through this server alone
        self._look_seconds = look_seconds if store.database.shared else None
        self._watchers: Counter[str] = Counter()
        self._latest: dict[str, ExportRecord] = {}
        """Of those that somebody watches."""
        self._reading = asyncio.Lock()
        """What was read earlier never replaces what was read later."""
        self._told = asyncio.Event()
        self._looks = asyncio.Event()
        self.closed = False

    async def run(self) -> None:
        """Reads what is watched whenever something may have changed; goes on until it is cancelled."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._looks.wait(), self._look_seconds)
            self._looks.clear()
            try:
                await self._read()
            except HeadstartError as error:
                _log.warning("export jobs could not be read", error=error.message)
                await asyncio.sleep(1.0)
                self.look()

    def look(self) -> None:
        """Something has changed."""
        self._looks.set()

    def close(self) -> None:
        """Ends every watch."""
        self.closed = True
        self._tell()

    async def watch(self, identifier: str, idle: float = 0.0) -> AsyncGenerator[ExportRecord, None]:
        """An export as it is, and after each change, to its end; again after `idle` seconds without any, unless that is
        0. Raises NotFoundError. Ends early where the server stops."""
        self._watchers[identifier] += 1
        told: ExportRecord | None = None
        try:
            while not self.closed:
                # before the latest is looked at: no change goes unnoticed
                changed = self._told
                latest = await self._current(identifier)
                if latest == told and await _within(changed, idle):
                    continue
                yield latest
                if latest.state.terminal:
                    return
                told = latest
        finally:
            self._watchers[identifier] -= 1
            if not self._watchers[identifier]:
                del self._watchers[identifier]
                self._latest.pop(identifier, None)

    async def _current(self, identifier: str) -> ExportRecord:
        async with self._reading:
            if identifier not in self._latest:
                self._latest[identifier] = await self._reads.run(self._store.get, identifier)
            return self._latest[identifier]

    async def _read(self) -> None:
        if not self._watchers:
            return
        async with self._reading:
            before = dict(self._latest)
            found = await self._reads.run(self._store.several, list(self._watchers))
            self._latest = {job.identifier: job for job in found if job.identifier in self._watchers}
        if self._latest != before:
            self._tell()

    def _tell(self) -> None:
        self._told.set()
        self._told = asyncio.Event()


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Waits for an event, for so many seconds or, where that is 0, without end; returns whether it came."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds or None)
    return event.is_set()
