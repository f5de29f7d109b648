"""The attempts at jobs that this server has claimed: each on a worker, to its end or to where the next one goes on."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from headstart_server import metrics
from headstart_server.core.errors import HeadstartError
from headstart_server.core.executors import Executors
from headstart_server.core.reasons import Reason
from headstart_server.core.states import State
from headstart_server.encoders.precision import settled_precisions
from headstart_server.engines.envelopes import JobEnvelope, RaySettings, RuntimeSettings
from headstart_server.engines.events import JobEvent, JobFailure, ModelPublished, StateChange
from headstart_server.jobs.event_log import EventLog
from headstart_server.jobs.following import Silence, Write, follow
from headstart_server.jobs.persisting import Persisting
from headstart_server.jobs.process import WorkerPool, WorkerProcess, WorkerStartError
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.setbacks import Setback, failure_in, is_clean, not_started, published_in, setback_of
from headstart_server.jobs.store import JobStore, LostJobError
from headstart_server.spec.model import TrainSpec
from headstart_server.storage.storage import Storage

_log = structlog.get_logger()
_HELD_SECONDS = 10.0
"""For how long no job is begun after one could not use the storage."""


@dataclass(frozen=True)
class AttemptSettings:
    """What every envelope carries, and how long an attempt may take over what. Times in seconds."""

    runtime: RuntimeSettings
    ray: RaySettings
    cancel_seconds: float
    """How long a job may go on that is to stop, before its worker is killed."""
    pause_seconds: float
    """How long a job may take to come to a checkpoint, once it is to pause."""
    hang_seconds: float
    """How long a worker may be silent; 0: without end."""
    retry_seconds: float
    """How long to wait when the store does not take what has to be stored."""


@dataclass
class _Attempt:
    """One attempt, while its worker runs."""

    number: int
    worker: WorkerProcess | None = None
    """None until there is one."""
    hung: bool = False
    """Whether this server has killed it for its silence."""
    lost: bool = False
    """Whether the job is another server's now."""
    asked: State | None = None
    """What it was last told that it is to do: PAUSING or CANCELLING."""


class Attempts:
    """Runs on the server's event loop."""

    def __init__(
        self,
        store: JobStore,
        log: EventLog,
        pool: WorkerPool,
        storage: Storage,
        settings: AttemptSettings,
        executors: Executors,
    ) -> None:
        self._store, self._log, self._pool, self._storage = store, log, pool, storage
        self._settings, self._executors = settings, executors
        self._persisting = Persisting(store, log, executors.store, settings.retry_seconds)
        self._running: dict[str, _Attempt] = {}
        self.traces: dict[str, dict[str, str]] = {}
        """Spans of the calls that jobs were made by; a server that starts again knows them no more."""
        self.held_until = float("-inf")
        """Until when, by the event loop's clock, no job is begun, because one has failed of what may pass by itself."""
        self.draining = False
        """Whether the server stops: what ends from here on was ended by that."""

    @property
    def numbers(self) -> dict[str, int]:
        """Of the jobs that run here, the number of their attempt."""
        return {identifier: attempt.number for identifier, attempt in self._running.items()}

    async def run(self, job: JobRecord) -> None:
        """One attempt at a job that this server has claimed."""
        if (older := self._running.get(job.identifier)) is not None:
            # the job was given back, or taken away, which that attempt has not noticed yet
            older.lost = True
            _kill(older)
        # from here on its lease is renewed: a worker may take longer to start than a lease holds
        attempt = self._running[job.identifier] = _Attempt(job.attempt)
        try:
            await self._run(job, attempt)
        finally:
            if self._running.get(job.identifier) is attempt:
                del self._running[job.identifier]

    async def _run(self, job: JobRecord, attempt: _Attempt) -> None:
        done: dict[str, Any] | None = None
        setback: Setback | None = None
        try:
            worker = attempt.worker = await self._pool.take()
        except WorkerStartError as error:
            setback = not_started(error)
        else:
            done = await self._followed(job, attempt, worker)
            # it may work for another job by now; the lease is renewed until the end is written, however long that takes
            attempt.worker = None
            if not attempt.lost:
                setback = await setback_of(worker, done, self._settings.hang_seconds if attempt.hung else None)
        if not attempt.lost:
            await self._conclude(job.identifier, attempt, setback, done)

    async def _followed(self, job: JobRecord, attempt: _Attempt, worker: WorkerProcess) -> dict[str, Any] | None:
        """How a worker says that the job ended; None where it died, or the job is another server's now."""
        clean = False
        try:
            found = await self._persisting.read(job.identifier)
            if attempt.lost or found.state is not State.QUEUED or found.attempt != attempt.number:
                # while the worker was taken
                attempt.lost = clean = True
                return None
            metrics.JOB_ATTEMPTS.inc()
            silence = Silence(self._settings.hang_seconds, lambda: self._hang(attempt))
            done = await follow(worker, self.envelope_of(job), self._writer(attempt), silence)
            clean = done is not None and is_clean(done)
            return done
        except LostJobError as error:
            attempt.lost = True
            worker.kill()
            _log.warning("a job is no longer this server's", job=job.identifier, why=str(error))
            return None
        finally:
            if self.draining:
                worker.kill()
                await worker.stop()
            else:
                await self._pool.give_back(worker, clean=clean)

    def tell(self, identifier: str, state: State) -> None:
        """A job that runs here is to stop: its worker hears of it, and is killed if it does not stop in time."""
        attempt = self._running.get(identifier)
        if (
            attempt is None
            or attempt.worker is None
            or attempt.asked is state
            or state not in (State.CANCELLING, State.PAUSING)
        ):
            return
        attempt.asked = state
        within = self._settings.cancel_seconds
        if state is State.CANCELLING:
            attempt.worker.cancel()
        else:
            attempt.worker.pause(self._settings.pause_seconds)
            within += self._settings.pause_seconds
        asyncio.get_running_loop().call_later(within, self._kill_if_running, identifier, attempt)

    def lose(self, identifier: str) -> None:
        """A job that runs here is another server's now: its worker has nobody to work for."""
        attempt = self._running[identifier]
        attempt.lost = True
        _kill(attempt)

    def drain(self, seconds: float) -> None:
        """The server stops: has every job stop at its next checkpoint, if it comes to one in time."""
        self.draining = True
        for attempt in self._running.values():
            if attempt.worker is not None:
                attempt.worker.pause(seconds)

    def kill(self) -> list[WorkerProcess]:
        """Kills what still runs; returns the workers."""
        for attempt in self._running.values():
            _kill(attempt)
        return [attempt.worker for attempt in self._running.values() if attempt.worker is not None]

    async def fail(self, job: JobRecord) -> None:
        """Ends a job at which this server itself has failed."""
        failure = JobFailure(Reason.INTERNAL, "the server failed; its log has the details")
        try:
            await self._end(job.identifier, job.attempt, State.FAILED, failure)
        except (LostJobError, HeadstartError):  # it is gone
            _log.exception("a job that failed is not this server's", job=job.identifier)

    def envelope_of(self, job: JobRecord) -> JobEnvelope:
        """What a worker needs to know."""
        runtime = replace(self._settings.runtime, tenant=job.tenant, precisions=settled_precisions())
        spec = TrainSpec.model_validate(job.spec)
        return JobEnvelope(
            job.identifier,
            job.display_name,
            spec,
            job.sources,
            runtime,
            self._settings.ray,
            self.traces.get(job.identifier, {}),
            job.halvings,
            job.description,
            job.labels,
            job.initial_model,
        )

    def _writer(self, attempt: _Attempt) -> Write:
        """How reports of an attempt are written: until the store takes them, and its answer reaches the worker."""

        async def write(identifier: str, events: Sequence[JobEvent]) -> None:
            append = self._store.append_reports
            job = await self._persisting.write(append, identifier, events, attempt=attempt.number)
            if attempt.worker is not None and any(map(_publishes, events)):
                attempt.worker.publish()
            if job.state in (State.CANCELLING, State.PAUSING):
                # told again with each report: a word that came before its job has been forgotten
                attempt.asked = None
                self.tell(identifier, job.state)

        return write

    async def _conclude(
        self, identifier: str, attempt: _Attempt, setback: Setback | None, done: dict[str, Any] | None
    ) -> None:
        """Records how an attempt ended; the job is another server's if that has taken it meanwhile."""
        try:
            if self.draining and (setback is not None or (done or {}).get("state") == State.PAUSED):
                await self._end(identifier, attempt.number, State.QUEUED)
            elif setback is not None:
                await self._go_on(identifier, attempt.number, setback)
            elif done is not None:
                state = State(done["state"])
                await self._end(identifier, attempt.number, state, failure_in(done), published_in(done))
        except LostJobError as error:
            _log.warning("a job is no longer this server's", job=identifier, why=str(error))

    async def _go_on(self, identifier: str, number: int, setback: Setback) -> None:
        """Queues the job again, or fails it where it was set back too often without progress."""
        job = await self._persisting.read(identifier)
        stops = job.state in (State.CANCELLING, State.PAUSING)
        if not stops:
            metrics.WORKER_DEATHS.labels("job").inc()
        if not (stops or setback.may_go_on(job)):
            await self._end(identifier, number, State.FAILED, setback.failure)
            return
        go_on = self._store.go_on
        if setback.waits:
            # before the job can be claimed again: it would fail of the same
            self.held_until = asyncio.get_running_loop().time() + _HELD_SECONDS
        job = await self._persisting.write(go_on, identifier, setback.warning, attempt=number, halve=setback.halves)
        await self.forget_model(job)
        metrics.JOB_RESTARTS.labels(setback.cause).inc()

    async def _end(
        self,
        identifier: str,
        number: int,
        state: State,
        failure: JobFailure | None = None,
        published: ModelPublished | None = None,
    ) -> None:
        """Records how an attempt ended; tries until the store takes it, for nobody else knows."""
        end = self._store.end
        job = await self._persisting.write(end, identifier, state, failure, attempt=number, published=published)
        if not job.state.terminal:
            return
        self.traces.pop(identifier, None)
        await self.forget_model(job)
        _log.info("job ended", job=identifier, state=job.state.value)

    async def forget_model(self, job: JobRecord) -> None:
        """Removes what was published for a job that has ended otherwise, perhaps while it waited: an attempt may have
        published, and died before it could say so."""
        if job.state.terminal and job.state is not State.SUCCEEDED:
            await self._executors.files.run(self._storage.of(job.tenant).forget_model, job.identifier)

    def _hang(self, attempt: _Attempt) -> None:
        attempt.hung = True
        _kill(attempt)

    def _kill_if_running(self, identifier: str, attempt: _Attempt) -> None:
        # by now the worker may run another job, or the job run on another worker
        if self._running.get(identifier) is attempt:
            _kill(attempt)


def _publishes(event: JobEvent) -> bool:
    return isinstance(event, StateChange) and event.to is State.PUBLISHING


def _kill(attempt: _Attempt) -> None:
    if attempt.worker is not None:
        attempt.worker.kill()
