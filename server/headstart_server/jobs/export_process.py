"""One export in a process of its own, and what is kept of such processes."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from headstart_server import metrics
from headstart_server.core.executors import Executor
from headstart_server.core.names import new_id
from headstart_server.engines.envelopes import ExportEnvelope, RaySettings, RuntimeSettings, to_plain
from headstart_server.export.artifacts import Artifact, ArtifactRegistry, artifact_of
from headstart_server.jobs.export_records import ExportOrder, Stage, died, error_of
from headstart_server.jobs.process import ProcessSettings, WorkerPool, WorkerProcess, WorkerStartError

EXPORT_PROCESS = ProcessSettings(
    command=(sys.executable, "-m", "headstart_server.jobs.export_worker"), purpose="export"
)


class ExportProcesses:
    """Runs on the server's event loop.

    A process that ended an export well is kept for the next as long as `idle_seconds`, so that a second one need not
    wait for torch; any other is ended.
    """

    def __init__(
        self,
        artifacts_of: Callable[[str], ArtifactRegistry],
        runtime: RuntimeSettings,
        files: Executor,
        pool: WorkerPool | None = None,
        idle_seconds: float = 60.0,
        ray: RaySettings | None = None,
    ) -> None:
        self._artifacts_of, self._runtime, self._files, self._idle_seconds = artifacts_of, runtime, files, idle_seconds
        self._ray = ray or RaySettings()
        self._pool = pool or WorkerPool(0, jobs_per_worker=20, process=EXPORT_PROCESS)
        self._running: set[WorkerProcess] = set()
        self._rest: asyncio.Task[None] | None = None

    @property
    def pids(self) -> list[int]:
        """Of the processes that export, or wait to."""
        return self._pool.pids

    async def find(self, tenant: str, order: ExportOrder) -> Artifact | None:
        """The artifact of an order, if there is one whose files are sound."""
        find, digest = self._artifacts_of(tenant).find, order.predictions.digest if order.predictions else ""
        return await self._files.run(find, order.model, order.format, head_only=order.head_only, order=digest)

    async def made(self, tenant: str, order: ExportOrder) -> AsyncGenerator[Stage | Artifact, None]:
        """Stages, then the artifact. Who stops listening ends the process, and what it has half written.

        Raises what the process ends with: FailedPreconditionError where the model cannot be exported so or the process
        died, NotFoundError where the model was deleted.
        """
        try:
            worker = await self._pool.take()
        except WorkerStartError as error:
            how = f"no process to export the model started; the last of several {error.how}"
            raise died(how, order.format) from None
        self._running.add(worker)
        identifier = new_id()
        runtime = replace(self._runtime, tenant=tenant)
        envelope = ExportEnvelope(
            identifier, order.model, order.format, order.head_only, runtime, order.predictions, self._ray
        )
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
                how = f"the process that exported the model {(await worker.how_it_died()).text}"
                raise died(how, order.format)
            if "error" in done:
                raise error_of(done["error"])
            yield artifact_of(done["artifact"])
        finally:
            self._running.discard(worker)
            if done is None:
                worker.kill()
            # who listened may be cancelled meanwhile, and the process has to be ended all the same
            await asyncio.shield(self._give_back(worker, tenant, identifier, done))

    async def close(self) -> None:
        """Ends every process."""
        for worker in self._running:
            worker.kill()
        if self._rest is not None:
            self._rest.cancel()
        await self._pool.close()

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
