"""The supervisor: stores jobs, claims them from the queue that servers share, and has workers run them."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import structlog

from headstart_server import tracing
from headstart_server.core.errors import DataLossError, HeadstartError
from headstart_server.core.executors import Executors
from headstart_server.core.quotas import Quotas
from headstart_server.core.states import State
from headstart_server.engines.envelopes import JobEnvelope, RaySettings, RuntimeSettings
from headstart_server.jobs.attempts import Attempts, AttemptSettings
from headstart_server.jobs.event_log import EventLog
from headstart_server.jobs.leases import Leases
from headstart_server.jobs.log_writer import Appended
from headstart_server.jobs.notices import Notices
from headstart_server.jobs.ownership import Ownership
from headstart_server.jobs.process import WorkerPool
from headstart_server.jobs.queue_limits import QueueLimits
from headstart_server.jobs.records import JobRecord, LogEntry, News, QueuePosition
from headstart_server.jobs.store import Changes, JobStore
from headstart_server.storage.storage import Storage

_log = structlog.get_logger()
_REMEMBERED_JOBS = 200
"""Jobs whose embedding passes say how fast encoders are."""
_RELEASE_SECONDS = 1.5
"""How long a server that stops tries to give its jobs back."""
_LOOK_SECONDS = 5.0
"""How often the queue is looked at where nobody tells of a new job."""


@dataclass(frozen=True)
class SupervisorSettings:
    """Limits, and what every envelope carries. Times in seconds."""

    runtime: RuntimeSettings
    ray: RaySettings = field(default_factory=RaySettings)
    owner: str = "server"
    """A name that no other server has."""
    concurrent_jobs: int = 1
    max_queued: int = 1_000
    quotas: Quotas = field(default_factory=Quotas)
    lease_seconds: float = 30.0
    """For how long a job stays a server's that is not heard of."""
    cancel_seconds: float = 10.0
    """How long a cancelled job may go on before its worker is killed."""
    pause_seconds: float = 600.0
    """How long a job that is to pause may take to come to a checkpoint."""
    hang_seconds: float = 3_600.0
    """How long a worker may be silent before it is killed; 0: without end."""
    retry_seconds: float = 5.0
    """How long to wait when the store does not take what has to be stored."""


class Supervisor:
    """Runs on the server's event loop; database calls run on threads."""

    def __init__(
        self, store: JobStore, pool: WorkerPool, storage: Storage, settings: SupervisorSettings, executors: Executors
    ) -> None:
        self._store, self._pool, self._storage, self._settings = store, pool, storage, settings
        self._executors = executors
        self._limits = QueueLimits(settings.max_queued, settings.quotas)
        self._layout = storage.layout
        self._log = EventLog(store, executors.store, executors.reports)
        limits = AttemptSettings(
            settings.runtime,
            settings.ray,
            settings.cancel_seconds,
            settings.pause_seconds,
            settings.hang_seconds,
            settings.retry_seconds,
        )
        self._attempts = Attempts(store, self._log, pool, storage, limits, executors)
        self._ownership = Ownership(
            store.database, settings.owner, settings.lease_seconds, settings.quotas.running_limit
        )
        self._leases = Leases(self._ownership, self._attempts, self._log, executors.leases, self._look)
        self._notices = self._listening() if store.database.shared else None
        self._news = asyncio.Event()
        """Set where the queue may have a job that it did not have."""
        self.missing = ""
        """What jobs need and this server cannot use for now; while there is something, it begins none."""
        self._slots: list[asyncio.Task[None]] = []
        self._heartbeat: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Queues what a server has left that is gone, and starts to work."""
        await self._pool.start()
        if self._notices is not None:
            await self._notices.start()
        meter = self._log.meter
        meter.learn_speeds(await self._executors.store.run(self._store.newest, _REMEMBERED_JOBS))
        await self._leases.reap(alone=not self._store.database.shared)
        for job in await self._executors.store.run(self._store.newest, self._settings.max_queued, None, [State.QUEUED]):
            meter.queued(job)
        self._slots = [asyncio.create_task(self._work()) for _ in range(self._settings.concurrent_jobs)]
        self._heartbeat = asyncio.create_task(self._leases.run())

    async def close(self, grace: float = 0.0) -> None:
        """Stops working: jobs that come to a checkpoint within the grace stop there, others lose what came after their
        last one. They wait in the store for the next server that claims them."""
        # first: a worker that ends from here on was ended by this, and its job does not fail
        self._attempts.draining = True
        self._log.close()
        if grace and self._attempts.numbers:
            self._attempts.drain(grace)
            await asyncio.wait(self._slots, timeout=grace)
        running = self._attempts.kill()
        if self._attempts.numbers:
            # they note that their jobs wait again; who cannot is reaped when the lease has run out
            await asyncio.wait(self._slots, timeout=_RELEASE_SECONDS)
        tasks = [*self._slots, *([self._heartbeat] if self._heartbeat is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *(worker.stop() for worker in running), return_exceptions=True)
        if self._notices is not None:
            await self._notices.close()
        await self._pool.close()

    @property
    def worker_pids(self) -> list[int]:
        """Of the processes that run jobs, or wait to."""
        return self._pool.pids

    @property
    def silent_seconds(self) -> float:
        """For how long the job database has not answered this server's heartbeat."""
        return asyncio.get_running_loop().time() - self._leases.renewed if self._leases.renewed else 0.0

    async def submit(self, job: JobRecord) -> tuple[JobRecord, bool]:
        """Stores and queues a job; returns (job, whether it is new). Raises OverloadedError when too many wait.

        A job that is stored is queued too, even if its caller goes meanwhile.
        """
        return await asyncio.shield(self._submit(job))

    async def cancel(self, identifier: str) -> JobRecord:
        """Asks a job to stop, whichever server runs it; raises FailedPreconditionError if it has ended."""
        # a caller who goes once it is stored must not keep the worker from hearing of it
        return await asyncio.shield(self._ask(self._store.cancel, identifier))

    async def pause(self, identifier: str) -> JobRecord:
        """Asks a job to stop where it can go on later; raises FailedPreconditionError if it has ended."""
        return await asyncio.shield(self._ask(self._store.pause, identifier))

    async def resume(self, identifier: str) -> JobRecord:
        """Queues a paused job; raises FailedPreconditionError if it has ended, or is not paused yet, and
        OverloadedError when too many wait."""
        return await asyncio.shield(self._ask(partial(self._store.resume, require=self._limits.require), identifier))

    async def update(self, identifier: str, changes: Changes) -> JobRecord:
        """Sets fields of a job; see JobStore.update."""
        return await asyncio.shield(self._ask(lambda job: self._store.update(job, changes), identifier))

    async def delete(self, identifier: str) -> None:
        """Deletes an ended job with its events and checkpoints; its name goes last, so that it can be tried again."""
        try:
            job = await self._executors.store.run(self._store.get, identifier)
            ended = job.state.terminal
            # what says that its model is none goes with it
            await self._attempts.forget_model(job)
        except DataLossError:  # who deletes it wants it gone
            ended = True
        if ended:
            await self._executors.files.run(self._storage.forget_job, identifier)
        await self._executors.store.run(self._store.delete, identifier)
        await self._executors.files.run(shutil.rmtree, self._layout.job(identifier), ignore_errors=True)

    def envelope_of(self, job: JobRecord) -> JobEnvelope:
        """What a worker would be given."""
        return self._attempts.envelope_of(job)

    async def queue(self, identifier: str) -> QueuePosition | None:
        """Where a job waits, and for what; None for one that does not wait. Raises NotFoundError."""
        job = await self._executors.store.run(self._store.get, identifier)
        if job.state is not State.QUEUED:
            return None
        if job.owner:
            return QueuePosition(0, "a worker process is being started for it")
        before = await self._executors.store.run(self._store.jobs_before, identifier)
        if before:
            return QueuePosition(before, f"{before} jobs that came before it")
        if self._held:
            return QueuePosition(0, self.missing or "the storage, which a job could not use a moment ago")
        busy, slots = len(self._attempts.numbers), self._settings.concurrent_jobs
        if busy >= slots:
            return QueuePosition(0, f"the end of a job: {busy} of at most {slots} run on this server")
        limit = self._settings.quotas.running_limit(job.tenant)
        if limit is not None:
            return QueuePosition(0, f"the end of another of your jobs, of which {limit} may run at the same time")
        return QueuePosition(0, "a server that takes it")

    def watch(self, identifier: str, after: int, idle: float = 0.0) -> AsyncIterator[list[LogEntry]]:
        """See EventLog.watch."""
        return self._log.watch(identifier, after, idle)

    @property
    def interrupted(self) -> bool:
        """Whether watches ended because the server is stopping."""
        return self._log.closed

    @property
    def _held(self) -> bool:
        """Whether this server begins no job for now."""
        return bool(self.missing) or asyncio.get_running_loop().time() < self._attempts.held_until

    def _listening(self) -> Notices:
        alone = self._storage.object_store is None
        return Notices(self._store.database, self._hear, self._log.look, alone=alone)

    async def _submit(self, job: JobRecord) -> tuple[JobRecord, bool]:
        stored, new = await self._executors.store.run(self._store.create, job, self._limits.require)
        if new:
            self._log.meter.queued(stored)
            if trace := tracing.carrier():
                self._attempts.traces[stored.identifier] = trace
            self._look()
        return stored, new

    async def _ask(self, write: Callable[[str], Appended], identifier: str) -> JobRecord:
        job = await self._log.write(write, identifier)
        self._told(job.identifier, job.state)
        await self._attempts.forget_model(job)
        return job

    async def _hear(self, news: News) -> None:
        """Another server has written to a job, or this one has."""
        self._told(news.identifier, news.state)
        await self._log.hear(news)

    def _told(self, identifier: str, state: State) -> None:
        if state.terminal:
            self._attempts.traces.pop(identifier, None)
            self._log.meter.forget(identifier)
        self._attempts.tell(identifier, state)
        if state is State.QUEUED:
            self._look()

    def _look(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _work(self) -> None:
        while not self._attempts.draining:
            job = await self._next()
            if job is None:
                continue
            try:
                await self._attempts.run(job)
            except Exception:  # noqa: BLE001 - the supervisor outlives whatever one job does to it
                _log.exception("supervisor failed a job", job=job.identifier)
                await self._attempts.fail(job)

    async def _next(self) -> JobRecord | None:
        """The next job, claimed; None, after a while or where there is news, if there is none."""
        # before the queue is looked at: what comes in meanwhile does not go unnoticed
        news = self._news
        try:
            job = None if self._held else await self._executors.leases.run(self._ownership.claim)
        except HeadstartError as error:
            _log.warning("the queue cannot be read", error=error.message)
            job = None
        except Exception:  # noqa: BLE001 - as whatever one job does
            _log.exception("the queue cannot be read")
            job = None
        if job is None:
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), _LOOK_SECONDS)
        elif self._attempts.draining:
            await self._executors.leases.run(self._store.end, job.identifier, State.QUEUED, attempt=job.attempt)
            return None
        return job
