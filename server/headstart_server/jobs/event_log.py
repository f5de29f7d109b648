"""The event log as the server's event loop sees it: written on threads, counted, and watched at the watcher's pace."""

from collections.abc import AsyncIterator, Callable
from typing import Concatenate, ParamSpec
from weakref import WeakValueDictionary

from headstart_server.core.executors import Executor
from headstart_server.jobs.log_writer import Appended
from headstart_server.jobs.metering import JobMeter
from headstart_server.jobs.records import JobRecord, LogEntry
from headstart_server.jobs.store import JobStore
from headstart_server.jobs.tail import PACE, Tail, ends

P = ParamSpec("P")


class EventLog:
    """Every write wakes those who watch its job; a job that nobody watches takes no memory."""

    def __init__(self, store: JobStore, reads: Executor, writes: Executor, *, pace: float = PACE) -> None:
        self._store, self._reads, self._writes, self._pace = store, reads, writes, pace
        self.meter = JobMeter()
        self._tails: WeakValueDictionary[str, Tail] = WeakValueDictionary()
        self.closed = False

    @property
    def watched(self) -> int:
        """How many jobs somebody waits for news of."""
        return len(self._tails)

    def close(self) -> None:
        """Ends every watch."""
        self.closed = True
        for tail in list(self._tails.values()):
            tail.wake()

    async def write(
        self, write: Callable[Concatenate[str, P], Appended], identifier: str, *args: P.args, **kwargs: P.kwargs
    ) -> JobRecord:
        """Calls one of the store's writing methods for a job; returns the job after it."""
        job, appended = await self._writes.run(write, identifier, *args, **kwargs)
        for entry in appended:
            self.meter.observe(job, entry.event)
        tail = self._tails.get(identifier)
        if tail is not None:
            tail.extend(appended)
        return job

    async def watch(self, identifier: str, after: int) -> AsyncIterator[list[LogEntry]]:
        """A job's events after a sequence number, then live to its end, as they come. Raises NotFoundError.

        Who has read up to the present is served from memory, as all others are: that costs no read of the store.
        """
        await self._reads.run(self._store.get, identifier)
        tail = self._tails.setdefault(identifier, Tail(self._pace))
        while not self.closed:
            # before the log is read, and with no await since `closed` was: neither a write nor `close` goes unnoticed
            woken, entries = tail.woken, tail.after(after)
            if entries is None:
                entries = await self._reads.run(self._store.events, identifier, after)
                if not entries and await self._ended(identifier, after):
                    return
            elif not entries and tail.ended:
                return
            if not entries:
                await woken.wait()
                continue
            yield entries
            after = entries[-1].sequence
            if ends(entries[-1]):
                return

    async def _ended(self, identifier: str, after: int) -> bool:
        """Who begins after the last event sees no end among the entries."""
        job = await self._reads.run(self._store.get, identifier)
        return job.state.terminal and job.last_sequence <= after
