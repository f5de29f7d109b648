"""The event log as the server's event loop sees it: written on threads, counted, and watched at the watcher's pace."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Concatenate, ParamSpec
from weakref import WeakValueDictionary

from headstart_server.core.executors import Executor
from headstart_server.engines.events import StateChange
from headstart_server.jobs.log_writer import Appended
from headstart_server.jobs.metering import JobMeter
from headstart_server.jobs.records import JobRecord, LogEntry
from headstart_server.jobs.store import JobStore

P = ParamSpec("P")


class EventLog:
    """Every write wakes those who watch its job; a job that nobody watches takes no memory."""

    def __init__(self, store: JobStore, reads: Executor, writes: Executor) -> None:
        self._store, self._reads, self._writes = store, reads, writes
        self.meter = JobMeter()
        self._changed: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()
        self.closed = False

    @property
    def watched(self) -> int:
        """How many jobs somebody waits for news of."""
        return len(self._changed)

    def close(self) -> None:
        """Ends every watch."""
        self.closed = True
        for changed in list(self._changed.values()):
            changed.set()

    async def write(
        self, write: Callable[Concatenate[str, P], Appended], identifier: str, *args: P.args, **kwargs: P.kwargs
    ) -> JobRecord:
        """Calls one of the store's writing methods for a job; returns the job after it."""
        job, appended = await self._writes.run(write, identifier, *args, **kwargs)
        for event in appended:
            self.meter.observe(job, event)
        # taken out: who looks at the log from here on waits for the next write
        changed = self._changed.pop(identifier, None)
        if changed is not None:
            changed.set()
        return job

    async def watch(self, identifier: str, after: int) -> AsyncIterator[LogEntry]:
        """A job's events after a sequence number, then live to its end. Raises NotFoundError."""
        await self._reads.run(self._store.get, identifier)
        while not self.closed:
            # before the log is read, and with no await since `closed` was: neither a write nor `close` goes unnoticed
            changed = self._changed.setdefault(identifier, asyncio.Event())
            entries = await self._reads.run(self._store.events, identifier, after)
            for entry in entries:
                yield entry
                after = entry.sequence
            if entries and isinstance(last := entries[-1].event, StateChange) and last.to.terminal:
                return
            if not entries:
                job = await self._reads.run(self._store.get, identifier)
                # who begins after the last event sees no end among the entries
                if job.state.terminal and job.last_sequence <= after:
                    return
                await changed.wait()
