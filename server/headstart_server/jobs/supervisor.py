"""The supervisor: queues jobs, hands them to workers, records what they say, and tells watchers."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from typing import Any

import structlog

from headstart_server import metrics
from headstart_server.core.errors import FailedPreconditionError, OverloadedError
from headstart_server.core.layout import Layout
from headstart_server.jobs.process import WorkerPool, WorkerProcess
from headstart_server.jobs.records import Event, JobRecord
from headstart_server.jobs.states import State
from headstart_server.jobs.store import JobStore, Report

_log = structlog.get_logger()
_PENDING_REPORTS = 256
_UNFINISHED = tuple(state for state in State if not state.terminal and state is not State.PAUSED)


@dataclass(frozen=True)
class SupervisorSettings:
    """Limits, and what every assignment carries."""

    model_root: str
    hub_allowed: bool
    concurrent_jobs: int = 1
    max_queued: int = 1_000
    cancel_seconds: float = 10.0


class Supervisor:
    """Runs on the server's event loop; database calls run on threads."""

    def __init__(self, store: JobStore, pool: WorkerPool, layout: Layout, settings: SupervisorSettings) -> None:
        self._store, self._pool, self._layout, self._settings = store, pool, layout, settings
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._changed: dict[str, asyncio.Event] = {}
        self._running: dict[str, WorkerProcess] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False

    async def start(self) -> None:
        """Queues what an earlier server left unfinished, and starts to work."""
        await self._pool.start()
        for job in reversed(await asyncio.to_thread(self._store.newest, 100_000, None, _UNFINISHED)):
            metrics.JOBS.labels(job.state).inc()
            if job.state is State.CANCELLING:
                await self._record(job.identifier, "state", {"from": job.state, "to": State.CANCELLED})
                continue
            if job.state is not State.QUEUED:
                await self._record(job.identifier, "state", {"from": job.state, "to": State.QUEUED})
            self._queue.put_nowait(job.identifier)
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._settings.concurrent_jobs)]

    async def close(self) -> None:
        """Stops working. Unfinished jobs stay in the store and go on when a server starts again."""
        self._closing = True
        for event in self._changed.values():
            event.set()
        for worker in self._running.values():
            worker.kill()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pool.close()

    async def submit(self, job: JobRecord) -> tuple[JobRecord, bool]:
        """Stores and queues a job; returns (job, whether it is new). Raises OverloadedError when too many wait."""
        if self._queue.qsize() >= self._settings.max_queued:
            raise OverloadedError(f"{self._settings.max_queued} jobs wait already; try again later", retry_after=30)
        stored, new = await asyncio.to_thread(self._store.create, job)
        if new:
            self._queue.put_nowait(stored.identifier)
            metrics.JOBS.labels(State.QUEUED).inc()
        return stored, new

    async def cancel(self, identifier: str) -> JobRecord:
        """Asks a job to stop; raises FailedPreconditionError if it has ended."""
        job = await asyncio.to_thread(self._store.get, identifier)
        if job.state.terminal:
            raise FailedPreconditionError(f"trainJobs/{identifier} has ended ({job.state}); there is nothing to cancel")
        if job.state is State.CANCELLING:
            return job
        if job.state is State.QUEUED:
            job = await self._record(identifier, "state", {"from": job.state, "to": State.CANCELLED})
            if identifier in self._running:  # a worker took it meanwhile
                self._running[identifier].cancel()
            return job
        job = await self._record(identifier, "state", {"from": job.state, "to": State.CANCELLING})
        worker = self._running.get(identifier)
        if worker is not None:
            worker.cancel()
            asyncio.get_running_loop().call_later(
                self._settings.cancel_seconds, self._kill_if_running, identifier, worker
            )
        return job

    async def delete(self, identifier: str) -> None:
        """Deletes an ended job with its events and checkpoints."""
        await asyncio.to_thread(self._store.delete, identifier)
        await asyncio.to_thread(shutil.rmtree, self._layout.job(identifier), ignore_errors=True)

    async def watch(self, identifier: str, after: int) -> AsyncIterator[Event]:
        """A job's events after a sequence number, then live to its end. Reads from the store at the watcher's pace."""
        await asyncio.to_thread(self._store.get, identifier)
        while not self._closing:
            changed = self._changed.setdefault(identifier, asyncio.Event())
            events = await asyncio.to_thread(self._store.events, identifier, after)
            for event in events:
                yield event
                after = event.sequence
            if events and events[-1].kind == "state" and State(events[-1].data["to"]).terminal:
                return
            if not events:
                job = await asyncio.to_thread(self._store.get, identifier)
                if job.state.terminal and job.last_sequence <= after:
                    return
                await changed.wait()

    @property
    def interrupted(self) -> bool:
        """Whether watches ended because the server is stopping."""
        return self._closing

    async def _work(self) -> None:
        while True:
            identifier = await self._queue.get()
            try:
                await self._run(identifier)
            except asyncio.CancelledError:
                raise
            except Exception:  # noqa: BLE001 - the supervisor outlives whatever one job does to it
                _log.exception("supervisor failed a job", job=identifier)
                await self._end(
                    identifier, {"state": State.FAILED, "error": _error("INTERNAL", "the server failed; see its log")}
                )

    async def _run(self, identifier: str) -> None:
        job = await asyncio.to_thread(self._store.get, identifier)
        if job.state is not State.QUEUED:
            return
        worker = await self._pool.take()
        if (await asyncio.to_thread(self._store.get, identifier)).state is not State.QUEUED:
            await self._pool.give_back(worker, clean=True)
            return
        self._running[identifier] = worker
        done: dict[str, Any] | None = None
        try:
            done = await self._follow(job, worker)
        finally:
            del self._running[identifier]
            if not self._closing:
                await self._pool.give_back(worker, clean=done is not None and _is_clean(done))
        if done is None and not self._closing:
            how = await worker.how_it_died()
            message = f"the worker process {how}; what was encoded is kept, start the job again"
            done = {"state": State.FAILED, "error": _error("WORKER_DIED", message)}
        if done is not None:
            await self._end(identifier, done)

    async def _follow(self, job: JobRecord, worker: WorkerProcess) -> dict[str, Any] | None:
        """Records what the worker says; returns how the job ended, or None if the worker died.

        What has come in while the last reports were written is written next, in one transaction: epochs of a few
        milliseconds report faster than a disk can sync. A full queue makes the worker wait.
        """
        messages: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(_PENDING_REPORTS)
        pump = asyncio.create_task(_pump(worker, self._assignment(job), messages))
        try:
            while (message := await messages.get()) is not None:
                batch = [message]
                while not messages.empty() and batch[-1] is not None and "done" not in batch[-1]:
                    batch.append(messages.get_nowait())  # type: ignore[arg-type]
                reports = [(item["event"], item["data"]) for item in batch if item is not None and "event" in item]
                await self._record_reports(job.identifier, worker, reports)
                if batch[-1] is None:
                    return None
                if "done" in batch[-1]:
                    done: dict[str, Any] = batch[-1]["done"]
                    return done
            return None
        finally:
            pump.cancel()

    async def _record_reports(self, identifier: str, worker: WorkerProcess, reports: list[Report]) -> None:
        """Stores a worker's reports, then wakes the watchers."""
        job, appended = await asyncio.to_thread(self._store.append_reports, identifier, reports)
        if job.state is State.CANCELLING:
            worker.cancel()
        for kind, data in appended:
            _count(kind, data)
        self._wake(identifier)

    async def _end(self, identifier: str, done: dict[str, Any]) -> None:
        """Records the terminal state: what the worker says, unless a cancelled job failed on its way out."""
        job = await asyncio.to_thread(self._store.get, identifier)
        if job.state.terminal:
            return
        state = State(done["state"])
        if job.state is State.CANCELLING and state is State.FAILED:
            state = State.CANCELLED
        data: dict[str, Any] = {"from": job.state, "to": state}
        if state is State.FAILED:
            data["error"] = done["error"]
        await self._record(identifier, "state", data)
        _log.info("job ended", job=identifier, state=state.value)

    async def _record(self, identifier: str, kind: str, data: dict[str, Any]) -> JobRecord:
        """Stores an event, then wakes the watchers."""
        job = await asyncio.to_thread(self._store.append, identifier, kind, data)
        _count(kind, data)
        self._wake(identifier)
        return job

    def _wake(self, identifier: str) -> None:
        changed = self._changed.pop(identifier, None)
        if changed is not None:
            changed.set()

    def _assignment(self, job: JobRecord) -> dict[str, Any]:
        return {
            "identifier": job.identifier,
            "display_name": job.display_name,
            "spec": job.spec,
            "sources": [asdict(source) for source in job.sources],
            "state_dir": str(self._layout.root),
            "model_root": self._settings.model_root,
            "hub_allowed": self._settings.hub_allowed,
        }

    def _kill_if_running(self, identifier: str, worker: WorkerProcess) -> None:
        if self._running.get(identifier) is worker:
            worker.kill()


async def _pump(
    worker: WorkerProcess, assignment: dict[str, Any], messages: "asyncio.Queue[dict[str, Any] | None]"
) -> None:
    """Moves a worker's messages into a bounded queue; None says that there are no more."""
    try:
        async for message in worker.run(assignment):
            await messages.put(message)
    except (ValueError, OSError):
        _log.exception("worker speaks nonsense")
        worker.kill()
    await messages.put(None)


def _count_state(data: dict[str, Any]) -> None:
    metrics.JOBS.labels(State(data["to"])).inc()
    if data["from"]:
        metrics.JOBS.labels(State(data["from"])).dec()


_COUNTED: dict[str, Callable[[dict[str, Any]], None]] = {
    "state": _count_state,
    "epoch": lambda data: metrics.TRAINING_SPEED.set(data["rows_per_second"]),
    "encode": lambda data: metrics.count_encoded(data),
}


def _count(kind: str, data: dict[str, Any]) -> None:
    """Tells the metrics of an event."""
    if kind in _COUNTED:
        _COUNTED[kind](data)


def _is_clean(done: dict[str, Any]) -> bool:
    """Whether a worker that ended a job so may run another: its own errors leave nothing behind, unknown ones may."""
    return done.get("error", {}).get("reason") not in {"INTERNAL", "OUT_OF_MEMORY"}


def _error(reason: str, message: str) -> dict[str, str]:
    return {"reason": reason, "message": message, "field": ""}
