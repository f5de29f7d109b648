"""Holds on to the jobs that this server runs, and takes those of servers that are gone."""

import asyncio
from collections.abc import Callable

import structlog

from headstart_server import metrics
from headstart_server.core.errors import HeadstartError
from headstart_server.core.executors import Executor
from headstart_server.jobs.attempts import Attempts
from headstart_server.jobs.beat import Beat
from headstart_server.jobs.deadlines import end_overdue
from headstart_server.jobs.event_log import EventLog
from headstart_server.jobs.ownership import Ownership

_log = structlog.get_logger()
_BEATS = 3
"""How often a lease is renewed before it would run out."""


class Leases:
    """Runs on the server's event loop.

    Args:
        ownership: This server's claims.
        attempts: What runs here.
        log: Of all jobs.
        threads: On which the database is asked; no other work may hold them up.
        queued: Is called when jobs went back to the queue.
    """

    def __init__(
        self, ownership: Ownership, attempts: Attempts, log: EventLog, threads: Executor, queued: Callable[[], None]
    ) -> None:
        self._ownership, self._attempts, self._log = ownership, attempts, log
        self._threads, self._queued = threads, queued
        self.renewed = 0.0
        """When the database last answered, by the event loop's clock."""

    async def run(self) -> None:
        """Goes on until it is cancelled; while the database is away it tries again at every beat."""
        beat = Beat(self._ownership.lease_seconds / _BEATS)
        while True:
            await beat.wait()
            try:
                await self.renew()
                if beat.steady:
                    await self.reap()
                await self.end_overdue()
                beat.kept()
            except HeadstartError as error:
                _log.warning("leases could not be renewed", error=error.message)
            except Exception:  # noqa: BLE001 - a server whose heart stops loses all its jobs
                _log.exception("leases could not be renewed")

    async def renew(self) -> None:
        """Renews the leases, drops jobs that were taken meanwhile, and tells workers what others ask of theirs."""
        attempts = self._attempts.numbers
        held = await self._threads.run(self._ownership.renew, attempts)
        if attempts:  # of none, the database is not asked
            self.renewed = asyncio.get_running_loop().time()
        for identifier, number in attempts.items():
            if identifier in held:
                self._attempts.tell(identifier, held[identifier])
            elif self._attempts.numbers.get(identifier) == number:  # it may have ended meanwhile
                self._attempts.lose(identifier)
                metrics.forget_job(identifier)

    async def end_overdue(self) -> None:
        """See jobs.deadlines."""
        ended = []
        written_ends = await self._threads.run(end_overdue, self._ownership.database)
        self.renewed = asyncio.get_running_loop().time()
        for written in written_ends:
            job = self._log.written(written)
            _log.info("a job has run out of time", job=job.identifier, state=job.state.value)
            self._attempts.tell(job.identifier, job.state)
            ended.append(job)
        for job in ended:  # once all are told: the storage may be away
            await self._attempts.forget_model(job)

    async def reap(self, *, alone: bool = False) -> None:
        """See Ownership.reap."""
        taken = []
        for written in await self._threads.run(self._ownership.reap, list(self._attempts.numbers), alone=alone):
            job = self._log.written(written)
            _log.warning("took a job from a server that is gone", job=job.identifier, state=job.state.value)
            taken.append(job)
            if written[1]:
                metrics.JOB_RESTARTS.labels("server").inc()
            self._queued()
        for job in taken:  # as in `end_overdue`
            await self._attempts.forget_model(job)
