"""Exports as the server sees them: jobs in the database that servers share, a few at a time on each server."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Concatenate, ParamSpec

import structlog

from headstart_server import metrics
from headstart_server.core.errors import HeadstartError, OverloadedError, StoreFullError, UnavailableError
from headstart_server.core.executors import Executors
from headstart_server.core.names import new_id
from headstart_server.core.reasons import Reason
from headstart_server.engines.envelopes import PREDICTIONS
from headstart_server.export.artifacts import Artifact
from headstart_server.jobs.beat import Beat
from headstart_server.jobs.export_process import ExportProcesses
from headstart_server.jobs.export_records import ExportEnd, ExportOrder, ExportRecord, ExportState, Stage
from headstart_server.jobs.export_store import ExportStore, LostExportError
from headstart_server.jobs.export_watch import ExportWatch

P = ParamSpec("P")
_log = structlog.get_logger()
MOST_EXPORTS = 200
"""That wait or run, on all servers."""
_PASSING = (UnavailableError, StoreFullError, OverloadedError)
_RETRY_SECONDS = 5.0
_RELEASE_SECONDS = 1.5
"""How long a server that stops tries to give its exports back."""
_BEATS = 3
"""How often a lease is renewed before it would run out."""


@dataclass
class _Attempt:
    """An export that this server makes."""

    number: int
    task: "asyncio.Task[ExportEnd]"
    wanted: bool = True
    """Whether it is still this server's: not cancelled, and taken by no other."""


class Exports:
    """Runs on the server's event loop; database calls run on threads.

    Args:
        store: With this server's claims.
        processes: That export.
        executors: On whose threads the database is asked.
        concurrent: How many exports of models run at a time, and how many of predictions.
        look_seconds: How often a database that other servers change, too, is looked at.
    """

    def __init__(
        self,
        store: ExportStore,
        processes: ExportProcesses,
        executors: Executors,
        concurrent: int = 1,
        look_seconds: float = 1.0,
    ) -> None:
        self._store, self._processes, self._executors, self._concurrent = store, processes, executors, concurrent
        self._beat_seconds = store.lease_seconds / _BEATS
        self._look_seconds = min(look_seconds, self._beat_seconds) if store.database.shared else self._beat_seconds
        self._watch = ExportWatch(store, executors.store, look_seconds)
        self._attempts: dict[str, _Attempt] = {}
        self._news = asyncio.Event()
        """Set where the queue may have an export that it did not have."""
        self._draining = False
        self._slots: list[asyncio.Task[None]] = []
        self._work: list[asyncio.Task[None]] = []
        for file_format in ("onnx", "torchscript", PREDICTIONS):  # from 0 on, so that the first is an increase
            metrics.EXPORT_SECONDS.labels(file_format)
            for outcome in ("published", "failed", "died", "cancelled"):
                metrics.EXPORTS.labels(file_format, outcome)

    async def start(self) -> None:
        """Queues what a server has left that is gone, and starts to work."""
        await self._reap(alone=not self._store.database.shared)
        # predictions of large data sets take hours, for which the export of a model does not wait
        kinds = (False, True) * self._concurrent
        self._slots = [asyncio.create_task(self._slot(predictions=kind)) for kind in kinds]
        self._work = [asyncio.create_task(self._watch.run()), asyncio.create_task(self._hold_on())]

    async def close(self) -> None:
        """Stops working: what is being made waits in the store for the next server that claims it."""
        self._draining = True
        self._watch.close()
        for attempt in self._attempts.values():
            attempt.task.cancel()
        self._look()
        if self._slots:
            # they note that their exports wait again; who cannot is reaped when the lease has run out
            await asyncio.wait(self._slots, timeout=_RELEASE_SECONDS)
        for task in (*self._slots, *self._work):
            task.cancel()
        await asyncio.gather(*self._slots, *self._work, return_exceptions=True)
        await self._processes.close()

    @property
    def worker_pids(self) -> list[int]:
        """Of the processes that export, or wait to."""
        return self._processes.pids

    def unfinished(self) -> int:
        """How many exports wait or run, on all servers; asks the database."""
        return self._store.unfinished()

    @property
    def interrupted(self) -> bool:
        """Whether watches ended because the server is stopping."""
        return self._watch.closed

    async def create(self, tenant: str, order: ExportOrder) -> ExportRecord:
        """The export of an order: one that has SUCCEEDED where its artifact is there, else the one that is being made,
        else a new one. Raises OverloadedError where too many wait.

        One that is stored is made, even if its caller goes meanwhile.
        """
        looked = datetime.now(UTC)
        artifact = await self._processes.find(tenant, order) if order.repeatable else None
        state = ExportState.QUEUED if artifact is None else ExportState.SUCCEEDED
        identifier = artifact.identifier if artifact is not None else ""
        job = ExportRecord(new_id(), tenant, order, state, datetime.now(UTC), artifact=identifier)
        return await asyncio.shield(self._created(job, looked if order.repeatable else None))

    async def cancel(self, identifier: str) -> ExportRecord:
        """Ends an export, whichever server makes it; raises FailedPreconditionError if it has ended otherwise."""
        return await asyncio.shield(self._cancelled(identifier))

    def watch(self, identifier: str, idle: float = 0.0) -> AsyncGenerator[ExportRecord, None]:
        """See ExportWatch.watch."""
        return self._watch.watch(identifier, idle)

    async def _created(self, job: ExportRecord, looked: datetime | None) -> ExportRecord:
        stored = await self._executors.store.run(self._store.create, job, _require_room, looked)
        self._look()
        return stored

    async def _cancelled(self, identifier: str) -> ExportRecord:
        job = await self._executors.reports.run(self._store.cancel, identifier)
        self._lose(identifier)
        self._look()
        return job

    def _look(self) -> None:
        """An export has changed, here or elsewhere."""
        self._news.set()
        self._news = asyncio.Event()
        self._watch.look()

    def _lose(self, identifier: str) -> None:
        """Ends what this server makes of an export that is its no more."""
        if (attempt := self._attempts.get(identifier)) is not None:
            attempt.wanted = False
            attempt.task.cancel()

    async def _slot(self, *, predictions: bool) -> None:
        """Makes one export after another: of models, or of predictions."""
        while not self._draining:
            # before the queue is looked at: what comes in meanwhile does not go unnoticed
            news = self._news
            try:
                job = await self._executors.leases.run(partial(self._store.claim, predictions=predictions))
            except HeadstartError as error:
                _log.warning("the queue of exports cannot be read", error=error.message)
                job = None
            except Exception:  # noqa: BLE001 - as that of jobs
                _log.exception("the queue of exports cannot be read")
                job = None
            if job is not None:
                await self._make(job)
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), self._look_seconds)

    async def _make(self, job: ExportRecord) -> None:
        """One attempt, from its claim to its end."""
        self._look()
        self._lose(job.identifier)  # an older attempt of this server's, which has not noticed yet that it is one
        attempt = _Attempt(job.attempt, asyncio.create_task(self._attempt(job)))
        self._attempts[job.identifier] = attempt
        if self._draining:
            attempt.task.cancel()
        try:
            await asyncio.wait([attempt.task])
            if not attempt.task.cancelled():
                await self._write(self._store.end, job, attempt.task.result())
            elif attempt.wanted:
                await self._write(self._store.give_back, job)
            else:
                metrics.EXPORTS.labels(job.order.format, "cancelled").inc()
        finally:
            if self._attempts.get(job.identifier) is attempt:
                del self._attempts[job.identifier]
            self._look()

    async def _attempt(self, job: ExportRecord) -> ExportEnd:
        """How an attempt ends; what is told meanwhile goes to the store."""
        started, order = time.perf_counter(), job.order
        try:
            async with aclosing(self._processes.made(job.tenant, order)) as found:
                async for item in found:
                    if isinstance(item, Artifact):
                        metrics.EXPORT_SECONDS.labels(order.format).observe(time.perf_counter() - started)
                        metrics.EXPORTS.labels(order.format, "published").inc()
                        return ExportEnd(ExportState.SUCCEEDED, artifact=item.identifier)
                    await self._tell(job, item)
        except HeadstartError as failure:
            error = failure
        except Exception as failure:  # noqa: BLE001 - the slot outlives whatever one export does to it
            _log.exception("the export failed unexpectedly", export=job.identifier)
            name = type(failure).__name__
            error = HeadstartError(f"the export failed unexpectedly ({name}); the server's log has the details")
        else:
            error = HeadstartError("the export ended without an artifact; the server's log has the details")
        outcome = "died" if error.reason == Reason.EXPORT_DIED else "failed"
        metrics.EXPORTS.labels(order.format, outcome).inc()
        return ExportEnd(ExportState.FAILED, error=error)

    async def _tell(self, job: ExportRecord, stage: Stage) -> None:
        try:
            await self._executors.reports.run(self._store.tell, job.identifier, job.attempt, stage)
        except LostExportError:
            self._lose(job.identifier)
        except _PASSING as error:  # the next one may be told
            _log.warning("a step of an export could not be noted", export=job.identifier, error=error.message)
        self._watch.look()

    async def _write(
        self, write: Callable[Concatenate[str, int, P], None], job: ExportRecord, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Notes how an attempt ended, as soon as the database takes it."""
        while True:
            try:
                return await self._executors.reports.run(write, job.identifier, job.attempt, *args, **kwargs)
            except LostExportError:
                _log.warning("an export was taken meanwhile", export=job.identifier)
                return None
            except _PASSING as error:
                _log.warning("the job database is away; trying again", export=job.identifier, error=error.message)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _hold_on(self) -> None:
        """Renews leases, takes exports of servers that are gone, and notices those that are this server's no more."""
        renewed, beat, steady = time.monotonic(), Beat(self._look_seconds), True
        while True:
            await beat.wait()
            steady &= beat.steady
            due = time.monotonic() - renewed >= self._beat_seconds * 0.9
            try:
                await self._check(self._store.renew if due else self._store.held)
                if due:
                    renewed = time.monotonic()
                    if steady:
                        await self._reap()
                    steady = True
                beat.kept()
            except HeadstartError as error:
                _log.warning("leases of exports could not be renewed", error=error.message)
            except Exception:  # noqa: BLE001 - as that of jobs
                _log.exception("leases of exports could not be renewed")

    async def _check(self, ask: Callable[[dict[str, int]], set[str]]) -> None:
        attempts = {identifier: attempt.number for identifier, attempt in self._attempts.items()}
        if attempts:
            for identifier in attempts.keys() - await self._executors.leases.run(ask, attempts):
                if identifier in self._attempts and self._attempts[identifier].number == attempts[identifier]:
                    self._lose(identifier)

    async def _reap(self, *, alone: bool = False) -> None:
        for job in await self._executors.leases.run(self._store.reap, list(self._attempts), alone=alone):
            _log.warning("took an export from a server that is gone", export=job.identifier, state=job.state.value)
            self._look()


def _require_room(unfinished: int, own: int) -> None:
    """Raises OverloadedError where a tenant has as many as all together leave free: none takes all the room."""
    if own >= MOST_EXPORTS - unfinished:
        message = (
            f"{own} exports of yours wait or run, {unfinished} of all callers, and a caller may have as many as all "
            f"together leave free of {MOST_EXPORTS}; try again later"
        )
        raise OverloadedError(message, retry_after=30)
