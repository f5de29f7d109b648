"""Exports as the server sees them: a few at a time, each in a process of its own, the others waiting in turn."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakValueDictionary

import structlog

from headstart_server import metrics
from headstart_server.core import errors
from headstart_server.core.errors import (
    FailedPreconditionError,
    HeadstartError,
    InvalidInputError,
    OverloadedError,
    Violation,
)
from headstart_server.core.executors import Executor
from headstart_server.core.names import new_id
from headstart_server.core.reasons import Reason
from headstart_server.engines.envelopes import ExportEnvelope, RuntimeSettings, to_plain
from headstart_server.export.artifacts import Artifact, ArtifactRegistry, artifact_of
from headstart_server.jobs.process import ProcessSettings, WorkerPool, WorkerProcess

_log = structlog.get_logger()
EXPORT_PROCESS = ProcessSettings(
    command=(sys.executable, "-m", "headstart_server.jobs.export_worker"), purpose="export"
)


MOST_EXPORTS = 200
"""That wait or run: each is an open stream."""


@dataclass(frozen=True)
class Stage:
    """An export came to `wait`, `load`, `trace`, `check` or `publish`; the message is for people."""

    stage: str
    message: str


@dataclass(frozen=True)
class ExportOrder:
    """Which model in which format (`onnx`, `torchscript`), and whether without its encoders."""

    model: str
    format: str
    head_only: bool


class Exports:
    """Runs on the server's event loop.

    A process that ended an export well is kept for the next as long as `idle_seconds`, so that a second one need not
    wait for torch; any other is ended.
    """

    def __init__(
        self,
        artifacts_of: Callable[[str], ArtifactRegistry],
        runtime: RuntimeSettings,
        files: Executor,
        concurrent: int = 1,
        pool: WorkerPool | None = None,
        idle_seconds: float = 60.0,
    ) -> None:
        self._artifacts_of, self._runtime, self._files, self._idle_seconds = artifacts_of, runtime, files, idle_seconds
        self._pool = pool or WorkerPool(0, jobs_per_worker=20, process=EXPORT_PROCESS)
        self._turns = asyncio.Semaphore(concurrent)
        for file_format in ("onnx", "torchscript"):  # from 0 on, so that the first is an increase
            metrics.EXPORT_SECONDS.labels(file_format)
            for outcome in ("published", "failed", "died", "left"):
                metrics.EXPORTS.labels(file_format, outcome)
        self._asked = 0
        """Calls that wait for an export, also for one that another call has asked for."""
        self._before = 0
        self._alike: WeakValueDictionary[tuple[str, ExportOrder], asyncio.Lock] = WeakValueDictionary()
        """By tenant and order, of exports that somebody asked for."""
        self._running: set[WorkerProcess] = set()
        self._rest: asyncio.Task[None] | None = None

    async def run(self, tenant: str, order: ExportOrder) -> AsyncGenerator[Stage | Artifact, None]:
        """Stages, then the artifact. Who stops listening ends the export.

        Who asks for the same meanwhile waits for it, so that a call that is sent again makes no second artifact. Raises
        what the export's process ends with: FailedPreconditionError where the model cannot be exported so or the
        process died, NotFoundError where the model was deleted; and OverloadedError where too many wait.
        """
        if self._asked >= MOST_EXPORTS:
            raise OverloadedError(f"{self._asked} exports wait or run already; try again later", retry_after=30)
        self._asked += 1
        try:
            same = self._alike.setdefault((tenant, order), asyncio.Lock())
            if same.locked():
                yield Stage("wait", "waiting for the same export, which is being made")
            async with same, aclosing(self._found_or_made(tenant, order)) as found:
                async for item in found:
                    yield item
        finally:
            self._asked -= 1

    async def _found_or_made(self, tenant: str, order: ExportOrder) -> AsyncGenerator[Stage | Artifact, None]:
        find = self._artifacts_of(tenant).find
        known = await self._files.run(find, order.model, order.format, head_only=order.head_only)
        if known is not None:
            yield known
            return
        async with aclosing(self._in_turn(tenant, order)) as found:
            async for item in found:
                yield item

    async def _in_turn(self, tenant: str, order: ExportOrder) -> AsyncGenerator[Stage | Artifact, None]:
        waiting = self._turns.locked()
        self._before += 1
        try:
            if waiting:
                yield Stage("wait", f"waiting for exports before this one, {self._before - 1} at most")
            # aclosing: a generator that is only dropped runs its `finally` when it is collected
            with metrics.EXPORTS_IN_PROGRESS.track_inprogress():
                async with self._turns, aclosing(self._counted(tenant, order)) as found:
                    async for item in found:
                        yield item
        finally:
            self._before -= 1

    @property
    def worker_pids(self) -> list[int]:
        """Of the processes that export, or wait to."""
        return self._pool.pids

    async def close(self) -> None:
        """Ends every export and every process."""
        for worker in self._running:
            worker.kill()
        if self._rest is not None:
            self._rest.cancel()
        await self._pool.close()

    async def _counted(self, tenant: str, order: ExportOrder) -> AsyncGenerator[Stage | Artifact, None]:
        """The export, timed and counted by how it ends."""
        started, outcome = time.perf_counter(), "left"
        try:
            async with aclosing(self._exported(tenant, order)) as found:
                async for item in found:
                    if isinstance(item, Artifact):
                        outcome = "published"
                        metrics.EXPORT_SECONDS.labels(order.format).observe(time.perf_counter() - started)
                    yield item
        except HeadstartError as error:
            outcome = "died" if error.reason == Reason.EXPORT_DIED else "failed"
            raise
        finally:
            metrics.EXPORTS.labels(order.format, outcome).inc()

    async def _exported(self, tenant: str, order: ExportOrder) -> AsyncGenerator[Stage | Artifact, None]:
        worker = await self._pool.take()
        self._running.add(worker)
        identifier = new_id()
        runtime = replace(self._runtime, tenant=tenant)
        envelope = ExportEnvelope(identifier, order.model, order.format, order.head_only, runtime)
        done: dict[str, Any] | None = None
        try:
            async with aclosing(worker.run(to_plain(envelope))) as messages:
                async for message in messages:
                    if "done" in message:
                        done = message["done"]
                    elif message.get("event") == "stage":
                        yield Stage(**message["data"])
            if done is None:
                metrics.WORKER_DEATHS.labels("export").inc()
                raise _died((await worker.how_it_died()).text)
            if "error" in done:
                raise error_of(done["error"])
            yield artifact_of(done["artifact"])
        finally:
            self._running.discard(worker)
            if done is None:
                worker.kill()
            # a caller who leaves may be cancelled meanwhile, and the process has to be ended all the same
            await asyncio.shield(self._give_back(worker, tenant, identifier, done))

    async def _give_back(
        self, worker: WorkerProcess, tenant: str, identifier: str, done: dict[str, Any] | None
    ) -> None:
        clean = done is not None and "artifact" in done
        await self._pool.give_back(worker, clean=clean)
        if done is None:
            # after the process has ended: until then it might write there
            await self._files.run(self._artifacts_of(tenant).abandon, identifier)
        elif clean:
            if self._rest is not None:
                self._rest.cancel()
            self._rest = asyncio.create_task(self._release())

    async def _release(self) -> None:
        """Ends processes that had nothing to do for a while."""
        await asyncio.sleep(self._idle_seconds)
        await self._pool.release()


def error_of(error: Mapping[str, str]) -> HeadstartError:
    """The error that the export's process ended with."""
    kind = getattr(errors, error["kind"], HeadstartError)
    if kind is InvalidInputError:
        return InvalidInputError(Violation(error["field"], error["message"]), reason=error["reason"])
    found: HeadstartError = kind(error["message"], reason=error["reason"])
    found.field = error["field"]
    return found


def _died(how: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        f"the process that exported the model {how}; nothing was published; free memory and try again, or export the "
        "head alone (head_only)",
        reason=Reason.EXPORT_DIED,
    )
