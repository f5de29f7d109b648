"""The event log as the server's event loop sees it: written on threads, counted, and watched at the watcher's pace."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Concatenate, ParamSpec
from weakref import WeakValueDictionary

from headstart_server.core.executors import Executor
from headstart_server.jobs.log_writer import Appended
from headstart_server.jobs.metering import JobMeter
from headstart_server.jobs.records import JobRecord, LogEntry, News
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
        return self.written(await self._writes.run(write, identifier, *args, **kwargs))

    def written(self, written: Appended) -> JobRecord:
        """Counts what this server has written, and wakes who watches it; returns the job after it."""
        job, appended = written
        for entry in appended:
            self.meter.observe(job, entry.event)
        tail = self._tails.get(job.identifier)
        if tail is not None:
            tail.extend(appended)
        return job

    async def hear(self, news: News) -> None:
        """Another server may have written: reads what somebody watches here and this one has not written itself."""
        tail = self._tails.get(news.identifier)
        while tail is not None and tail.last < news.last_sequence:
            # of a tail without entries the last one will do: who needs those before it reads them for himself
            after = tail.last or news.last_sequence - 1
            entries = await self._reads.run(self._store.events, news.identifier, after)
            if not entries:  # it was deleted
                tail.wake()
                return
            tail.extend(entries)

    async def look(self) -> None:
        """Asks the store for news of every job that somebody watches: where nobody tells, or may have told in vain."""
        for news in await self._reads.run(self._store.news, list(self._tails)):
            await self.hear(news)

    async def watch(self, identifier: str, after: int, idle: float = 0.0) -> AsyncIterator[list[LogEntry]]:
        """A job's events after a sequence number, then live to its end, as they come; raises NotFoundError, or
        OutOfRangeError where the next one is no longer kept.

        Who has read up to the present is served from memory, as all others are: that costs no read of the store. With
        `idle`, an empty list says that there was nothing for so many seconds.
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
                if not await _within(woken, idle):
                    yield []
                continue
            yield entries
            after = entries[-1].sequence
            if ends(entries[-1]):
                return

    async def _ended(self, identifier: str, after: int) -> bool:
        """Who begins after the last event sees no end among the entries."""
        job = await self._reads.run(self._store.get, identifier)
        return job.state.terminal and job.last_sequence <= after


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Waits for an event, for so many seconds or, where that is 0, without end; returns whether it came."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds or None)
    return event.is_set()
