"""Changes of a tenant's jobs, as they come."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from headstart_server.core.executors import Executor
from headstart_server.core.filters import Comparison, Kind, Node, matches
from headstart_server.jobs.listing import JobList, Order
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.store import JobStore

MOST = 1_000
"""Jobs that a watch begins with, the newest, and that it keeps an eye on."""
PACE = 1.0
"""Seconds between two looks at what has changed."""
_OVERLAP = timedelta(minutes=1)
"""By which a change may seem to be older than one that was told before."""
_GONE_LOOKS = 5
"""Looks after which it is asked which jobs are still there."""


class JobChanges:
    """One caller's watch.

    Args:
        store: Of jobs.
        threads: On which the store is asked.
        tenant: Whose jobs.
        condition: Which of them; None: all.
        closed: Whether the server is stopping.
    """

    def __init__(
        self, store: JobStore, threads: Executor, tenant: str, condition: Node | None, closed: Callable[[], bool]
    ) -> None:
        self._store, self._threads, self._tenant = store, threads, tenant
        self._condition, self._closed = condition, closed
        self._known: dict[str, datetime] = {}
        """When each job that was told last changed."""
        self._since = ""

    async def follow(self, idle: float) -> AsyncGenerator[list[JobRecord | str], None]:
        """First the jobs that there are, oldest first; then what has changed: jobs, and ids of those that are gone or
        match no more; an empty list after `idle` seconds without a change, unless that is 0."""
        first = JobList(self._tenant, condition=self._condition, whole=False)
        jobs = list(reversed(await self._threads.run(self._store.listed, MOST, first)))
        self._take(jobs)
        # a change of a job that is written while the first are read is told, at the worst, twice
        self._since = max((job.update_time.isoformat() for job in jobs), default="")
        yield list(jobs)
        silent, looks = 0.0, 0
        while not self._closed():
            await asyncio.sleep(PACE)
            looks += 1
            found = await self._changed()
            if looks % _GONE_LOOKS == 0:
                found += await self._gone()
            silent = 0.0 if found else silent + PACE
            if found:
                yield found
            elif idle and silent >= idle:
                silent = 0.0
                yield []

    def _take(self, jobs: list[JobRecord]) -> None:
        self._known |= {job.identifier: job.update_time for job in jobs}

    async def _changed(self) -> list[JobRecord | str]:
        later = None
        if self._since:
            # servers have a clock each, and write in another order than they look at it
            since = datetime.fromisoformat(self._since) - _OVERLAP
            later = Comparison("update_time", Kind.TIME, ">=", since)
        wanted = JobList(self._tenant, condition=later, order=Order("update_time", descending=False), whole=False)
        found: list[JobRecord | str] = []
        while True:
            jobs = await self._threads.run(self._store.listed, MOST, wanted)
            for job in jobs:
                if self._known.get(job.identifier) == job.update_time:
                    continue
                if matches(self._condition, vars(job)):
                    self._known[job.identifier] = job.update_time
                    found.append(job)
                elif self._known.pop(job.identifier, None) is not None:
                    found.append(job.identifier)
            if jobs:
                self._since = max(self._since, jobs[-1].update_time.isoformat())
            if len(jobs) < MOST:
                return found
            wanted = replace(wanted, after=wanted.order.position(jobs[-1]))

    async def _gone(self) -> list[JobRecord | str]:
        there = await self._threads.run(self._store.existing, list(self._known))
        gone = [identifier for identifier in self._known if identifier not in there]
        for identifier in gone:
            del self._known[identifier]
        return list(gone)
