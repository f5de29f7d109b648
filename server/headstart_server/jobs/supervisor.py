"""The supervisor: queues jobs, hands them to workers, and records how they end."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from headstart_server import metrics, tracing
from headstart_server.core.errors import DataLossError, HeadstartError, OverloadedError
from headstart_server.core.executors import Executors
from headstart_server.core.quotas import Quotas
from headstart_server.core.reasons import Notice, Reason
from headstart_server.core.states import State
from headstart_server.encoders.precision import settled_precisions
from headstart_server.engines.envelopes import JobEnvelope, RaySettings, RuntimeSettings
from headstart_server.engines.events import JobFailure, StateChange
from headstart_server.jobs.event_log import EventLog
from headstart_server.jobs.following import follow
from headstart_server.jobs.process import WorkerPool, WorkerProcess
from headstart_server.jobs.queue_limits import QueueLimits
from headstart_server.jobs.records import JobRecord, LogEntry
from headstart_server.jobs.store import JobStore
from headstart_server.spec.model import TrainSpec
from headstart_server.storage.storage import Storage
from headstart_server.training.reports import JobWarning

_log = structlog.get_logger()
_DRIVER_DEATHS = 3
"""How often a job on a cluster goes on after the process that drives it died."""
_REMEMBERED_JOBS = 200
"""Jobs whose embedding passes say how fast encoders are."""
_UNFINISHED = tuple(state for state in State if not state.terminal and state is not State.PAUSED)


@dataclass(frozen=True)
class SupervisorSettings:
    """Limits, and what every envelope carries."""

    runtime: RuntimeSettings
    ray: RaySettings = field(default_factory=RaySettings)
    concurrent_jobs: int = 1
    max_queued: int = 1_000
    quotas: Quotas = field(default_factory=Quotas)
    cancel_seconds: float = 10.0
    """How long a cancelled job may go on before its worker is killed."""
    retry_seconds: float = 5.0
    """How long to wait when the store does not take a job's end."""


class Supervisor:
    """Runs on the server's event loop; database calls run on threads."""

    def __init__(
        self, store: JobStore, pool: WorkerPool, storage: Storage, settings: SupervisorSettings, executors: Executors
    ) -> None:
        self._store, self._pool, self._storage, self._settings = store, pool, storage, settings
        self._executors = executors
        self._limits = QueueLimits(settings.max_queued, settings.quotas, store, executors.store)
        self._layout = storage.layout
        self._log = EventLog(store, executors.store, executors.reports)
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._waiting: set[str] = set()
        self._running: dict[str, WorkerProcess] = {}
        self._deaths: Counter[str] = Counter()
        self._traces: dict[str, dict[str, str]] = {}
        """Spans of the calls that jobs were made by; a server that starts again knows them no more."""
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Queues what an earlier server left unfinished, and starts to work."""
        await self._pool.start()
        meter = self._log.meter
        meter.learn_speeds(await self._executors.store.run(self._store.newest, _REMEMBERED_JOBS))
        for job in await self._executors.store.run(self._store.oldest, _UNFINISHED):
            # its worker ended with the server that had asked it to stop
            if job.state is State.CANCELLING:
                await self._log.write(self._store.end, job.identifier, State.CANCELLED)
                continue
            if job.state is State.QUEUED:
                meter.queued(job)
            else:
                await self._log.write(self._store.append, job.identifier, StateChange(State.QUEUED))
                metrics.JOB_RESTARTS.labels("server").inc()
            self._enqueue(job.identifier)
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._settings.concurrent_jobs)]

    async def close(self) -> None:
        """Stops working, and ends every worker. Unfinished jobs stay in the store and go on when a server starts
        again."""
        # first: a worker that ends from here on was ended by this, and its job does not fail
        self._log.close()
        running = list(self._running.values())
        for worker in running:
            worker.kill()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *(worker.stop() for worker in running), return_exceptions=True)
        await self._pool.close()

    @property
    def waiting(self) -> int:
        """How many jobs wait for a worker process."""
        return len(self._waiting)

    @property
    def worker_pids(self) -> list[int]:
        """Of the processes that run jobs, or wait to."""
        return self._pool.pids

    async def submit(self, job: JobRecord) -> tuple[JobRecord, bool]:
        """Stores and queues a job; returns (job, whether it is new). Raises OverloadedError when too many wait.

        A job that is stored is queued too, even if its caller goes meanwhile.
        """
        return await asyncio.shield(self._submit(job))

    async def cancel(self, identifier: str) -> JobRecord:
        """Asks a job to stop; raises FailedPreconditionError if it has ended."""
        # a caller who goes once it is stored must not keep the worker from hearing of it
        return await asyncio.shield(self._cancel(identifier))

    async def delete(self, identifier: str) -> None:
        """Deletes an ended job with its events and checkpoints; its name goes last, so that it can be tried again."""
        try:
            ended = (await self._executors.store.run(self._store.get, identifier)).state.terminal
        except DataLossError:  # who deletes it wants it gone
            ended = True
        if ended:
            await self._executors.files.run(self._storage.forget_job, identifier)
        await self._executors.store.run(self._store.delete, identifier)
        await self._executors.files.run(shutil.rmtree, self._layout.job(identifier), ignore_errors=True)

    def watch(self, identifier: str, after: int) -> AsyncIterator[list[LogEntry]]:
        """See EventLog.watch."""
        return self._log.watch(identifier, after)

    @property
    def interrupted(self) -> bool:
        """Whether watches ended because the server is stopping."""
        return self._log.closed

    async def _submit(self, job: JobRecord) -> tuple[JobRecord, bool]:
        if refusal := await self._limits.refusal(job, len(self._waiting)):
            # a repeated request is answered however many wait
            known = await self._executors.store.run(self._store.known, job)
            if known is not None:
                return known, False
            raise refusal
        # before it is stored: of many who submit at once no more than the limit pass the check above
        self._waiting.add(job.identifier)
        new = False
        try:
            stored, new = await self._executors.store.run(self._store.create, job)
        finally:
            if not new:
                self._waiting.discard(job.identifier)
        if new:
            self._queue.put_nowait(stored.identifier)
            self._log.meter.queued(stored)
            if trace := tracing.carrier():
                self._traces[stored.identifier] = trace
        return stored, new

    async def _cancel(self, identifier: str) -> JobRecord:
        job = await self._log.write(self._store.cancel, identifier)
        # its entry stays in the queue, and `_work` passes over it
        self._waiting.discard(identifier)
        if job.state.terminal:
            self._traces.pop(identifier, None)
        worker = self._running.get(identifier)
        if worker is not None:
            worker.cancel()
            asyncio.get_running_loop().call_later(
                self._settings.cancel_seconds, self._kill_if_running, identifier, worker
            )
        return job

    def _enqueue(self, identifier: str) -> None:
        self._waiting.add(identifier)
        self._queue.put_nowait(identifier)

    async def _work(self) -> None:
        while True:
            identifier = await self._queue.get()
            if identifier not in self._waiting:  # cancelled
                continue
            self._waiting.discard(identifier)
            try:
                await self._run(identifier)
            except Exception:  # noqa: BLE001 - the supervisor outlives whatever one job does to it
                _log.exception("supervisor failed a job", job=identifier)
                with suppress(HeadstartError):  # it is gone
                    await self._end(
                        identifier,
                        State.FAILED,
                        JobFailure(Reason.INTERNAL, "the server failed; its log has the details"),
                    )

    async def _run(self, identifier: str) -> None:
        worker = await self._pool.take()
        self._running[identifier] = worker  # from here on, `cancel` reaches the worker
        done: dict[str, Any] | None = None
        clean = False
        try:
            job = await self._executors.store.run(self._store.get, identifier)
            if job.state is not State.QUEUED:  # cancelled while a worker was taken
                clean = True
                return
            metrics.JOB_ATTEMPTS.inc()
            done = await follow(worker, self.envelope_of(job), self._store, self._log)
            clean = done is not None and _is_clean(done)
        finally:
            del self._running[identifier]
            # a server that closes ends its workers itself
            if not self._log.closed:
                await self._pool.give_back(worker, clean=clean)
        if done is not None:
            await self._end(identifier, State(done["state"]), _failure(done))
        elif not self._log.closed:
            how = await worker.how_it_died()
            if not await self._goes_on(identifier, how):
                message = f"the worker process {how}; what was encoded is kept, start the job again"
                await self._end(identifier, State.FAILED, JobFailure(Reason.WORKER_DIED, message))

    async def _goes_on(self, identifier: str, how: str) -> bool:
        """Queues a job again that trained on a cluster, of which this server's process drove no more than the course.

        A job that trained in the process that died would most likely kill the next one, too.
        """
        job = await self._executors.store.run(self._store.get, identifier)
        if job.state is not State.CANCELLING:  # else this server killed it
            metrics.WORKER_DEATHS.labels("job").inc()
        on_cluster = job.spec.get("backend", {}).get("type") == "ray"
        if not on_cluster or job.state is State.CANCELLING or self._deaths[identifier] >= _DRIVER_DEATHS:
            return False
        self._deaths[identifier] += 1
        message = f"the process that drove the job {how}; it goes on from its last checkpoint"
        await self._log.write(self._store.append, identifier, JobWarning(Notice.DRIVER_DIED, message))
        if job.state is not State.QUEUED:  # it may have died before its first report
            await self._log.write(self._store.append, identifier, StateChange(State.QUEUED))
        metrics.JOB_RESTARTS.labels("driver").inc()
        self._enqueue(identifier)
        return True

    async def _end(self, identifier: str, state: State, error: JobFailure | None) -> None:
        """Records the terminal state; tries until the store takes it, for nobody else will end the job."""
        self._deaths.pop(identifier, None)
        self._traces.pop(identifier, None)
        while True:
            try:
                job = await self._log.write(self._store.end, identifier, state, error)
                break
            except Exception as refusal:
                # a refusal for what the job is, such as deleted, would be the same at the next try
                if isinstance(refusal, HeadstartError) and not isinstance(refusal, OverloadedError):
                    raise
                _log.exception("the store does not take a job's end", job=identifier, state=state.value)
                await asyncio.sleep(self._settings.retry_seconds)
        _log.info("job ended", job=identifier, state=job.state.value)

    def envelope_of(self, job: JobRecord) -> JobEnvelope:
        runtime = replace(self._settings.runtime, precisions=settled_precisions())
        spec = TrainSpec.model_validate(job.spec)
        trace = self._traces.get(job.identifier, {})
        return JobEnvelope(job.identifier, job.display_name, spec, job.sources, runtime, self._settings.ray, trace)

    def _kill_if_running(self, identifier: str, worker: WorkerProcess) -> None:
        # by now the worker may run another job, or the job run on another worker
        if self._running.get(identifier) is worker:
            worker.kill()


def _is_clean(done: dict[str, Any]) -> bool:
    """Whether a worker that ended a job so may run another: its own errors leave nothing behind, unknown ones may."""
    return done.get("error", {}).get("reason") not in {Reason.INTERNAL, Reason.OUT_OF_MEMORY}


def _failure(done: dict[str, Any]) -> JobFailure | None:
    """What a worker says that its job failed of."""
    return JobFailure(**done["error"]) if "error" in done else None
