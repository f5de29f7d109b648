"""Jobs: admit, plan, follow, cancel, delete."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from headstart_server.core.errors import StoppingError
from headstart_server.core.executors import Executors
from headstart_server.core.filters import Node
from headstart_server.core.layout import Layout
from headstart_server.core.names import new_id
from headstart_server.core.principal import ANONYMOUS, Principal, Scope
from headstart_server.core.shared_answers import SharedAnswers
from headstart_server.core.states import State
from headstart_server.engines.plan_events import spec_resolved
from headstart_server.jobs.history import JobHistory
from headstart_server.jobs.listing import JobList
from headstart_server.jobs.records import JobRecord, LogEntry, QueuePosition
from headstart_server.jobs.store import Changes, JobStore
from headstart_server.jobs.supervisor import Supervisor
from headstart_server.planning.initial_model import InitialModel
from headstart_server.planning.job_plan import JobPlan
from headstart_server.planning.passes import PlannedPass, planned_passes, planned_test_passes
from headstart_server.service.admission import DataSource, TrainOrder
from headstart_server.service.job_changes import JobChanges
from headstart_server.service.model_names import ModelNames
from headstart_server.service.tenants import Tenants
from headstart_server.spec.model import TrainSpec
from headstart_server.suggestion.suggest import Suggestion, suggest

_MOST_CREATOR = 128
"""Characters of a caller's name that a job keeps."""


@dataclass(frozen=True)
class PlannedJob:
    """What a job would do, as far as the order names data."""

    spec: TrainSpec
    plan: JobPlan | None = None
    passes: Sequence[PlannedPass] = ()
    test_passes: Sequence[PlannedPass] = ()


class TrainingService:
    """Use cases of jobs, of which a caller finds those of its tenant alone. Runs on the server's event loop."""

    def __init__(
        self,
        tenants: Tenants,
        supervisor: Supervisor,
        store: JobStore,
        layout: Layout,
        executors: Executors,
        names: ModelNames,
    ) -> None:
        self._tenants, self._supervisor, self._store = tenants, supervisor, store
        self._layout, self._executors, self._names = layout, executors, names
        self._positions: SharedAnswers[QueuePosition | None] = SharedAnswers(1.0)

    async def create(self, caller: Principal, order: Callable[[], TrainOrder]) -> JobRecord:
        """The stored job of an order, which is read on a thread; of a repeated one, the job that there is.

        What was written for a job that does not come to be, or whose caller goes before it is stored, is removed.
        Raises InvalidInputError for whatever cannot be trained, AlreadyExistsError, or OverloadedError.
        """
        caller.require(Scope.TRAIN)
        gone = asyncio.Event()
        try:
            # the thread that admits cannot be stopped: what it writes is removed once it is done
            return await asyncio.shield(self._create(caller, order, gone))
        except asyncio.CancelledError:
            gone.set()
            raise

    async def queue(self, caller: Principal, identifier: str) -> QueuePosition | None:
        """What a job waits for, at most a second ago, as a thousand may ask; None for one that does not wait. Raises
        NotFoundError."""
        caller.require(Scope.READ)
        return await self._positions.of(f"{caller.tenant}/{identifier}", lambda: self._queue(caller.tenant, identifier))

    async def follow(
        self, caller: Principal, identifier: str, after: int, idle: float = 0.0
    ) -> AsyncIterator[list[LogEntry]]:
        """A job's events after a sequence number, then live to its end, as they come; an empty list after `idle`
        seconds without any, unless that is 0.

        Raises NotFoundError, and StoppingError where the server stops before the job has ended.
        """
        caller.require(Scope.READ)
        await self._require_own(caller, identifier)
        async for entries in self._supervisor.watch(identifier, after, idle):
            yield entries
        if self._supervisor.interrupted:
            raise StoppingError("the server is stopping; watch the job again when it is back", retry_after=1)

    async def get(self, caller: Principal, identifier: str) -> JobRecord:
        """One job; raises NotFoundError or DataLossError."""
        caller.require(Scope.READ)
        return await self._executors.store.run(self._own, caller.tenant, identifier)

    async def history(self, caller: Principal, identifier: str) -> JobHistory:
        """What a job's log tells as a whole; raises NotFoundError or DataLossError."""
        caller.require(Scope.READ)
        await self._require_own(caller, identifier)
        return await self._executors.store.run(self._store.history, identifier)

    async def events(self, caller: Principal, identifier: str, after: int, limit: int) -> list[LogEntry]:
        """At most so many events of a job after a sequence number; raises NotFoundError or OutOfRangeError."""
        caller.require(Scope.READ)
        await self._require_own(caller, identifier)
        return await self._executors.store.run(self._store.events, identifier, after, limit)

    async def listed(
        self, caller: Principal, limit: int, wanted: JobList, readable: Callable[[JobRecord], object]
    ) -> Sequence[JobRecord]:
        """The caller's jobs of a list; see JobStore.listed."""
        caller.require(Scope.READ)
        own = replace(wanted, tenant=caller.tenant)
        return await self._executors.store.run(self._store.listed, limit, own, readable)

    async def changes(
        self, caller: Principal, condition: Node | None, idle: float
    ) -> AsyncGenerator[Sequence[JobRecord | str], None]:
        """See JobChanges.follow. Raises StoppingError where the server stops."""
        caller.require(Scope.READ)
        watch = JobChanges(
            self._store, self._executors.store, caller.tenant, condition, lambda: self._supervisor.interrupted
        )
        async with aclosing(watch.follow(idle)) as found:
            async for changed in found:
                yield changed
        raise StoppingError("the server is stopping; watch the jobs again when it is back", retry_after=1)

    async def update(self, caller: Principal, identifier: str, changes: Changes) -> JobRecord:
        """Changes what people say of a job, and its priority; raises what `changes` does, NotFoundError, or
        FailedPreconditionError."""
        caller.require(Scope.TRAIN)
        await self._require_own(caller, identifier)
        return await self._supervisor.update(identifier, changes)

    async def cancel(self, caller: Principal, identifier: str) -> JobRecord:
        """Asks a job to stop; raises NotFoundError, or FailedPreconditionError if it has ended."""
        caller.require(Scope.TRAIN)
        await self._require_own(caller, identifier)
        return await self._supervisor.cancel(identifier)

    async def pause(self, caller: Principal, identifier: str) -> JobRecord:
        """Asks a job to stop where it can go on later; raises NotFoundError, or FailedPreconditionError if it has
        ended."""
        caller.require(Scope.TRAIN)
        await self._require_own(caller, identifier)
        return await self._supervisor.pause(identifier)

    async def resume(self, caller: Principal, identifier: str) -> JobRecord:
        """Queues a paused job; raises NotFoundError, or FailedPreconditionError if it has ended or is just pausing."""
        caller.require(Scope.TRAIN)
        await self._require_own(caller, identifier)
        return await self._supervisor.resume(identifier)

    async def delete(self, caller: Principal, identifier: str) -> None:
        """Deletes an ended job with its log; raises NotFoundError or FailedPreconditionError."""
        caller.require(Scope.TRAIN)
        await self._require_own(caller, identifier)
        await self._supervisor.delete(identifier)

    async def plan(self, caller: Principal, order: Callable[[], TrainOrder]) -> PlannedJob:
        """What the job of an order would do; nothing is kept of it. Raises InvalidInputError."""
        caller.require(Scope.TRAIN)
        return await self._executors.planning.run(self._plan, caller.tenant, order)

    async def suggest(
        self, caller: Principal, data: Callable[[], DataSource], targets: Sequence[str], sweep_seconds: float
    ) -> Suggestion:
        """A spec for rows and the columns to predict; nothing is kept of them. Raises InvalidInputError."""
        caller.require(Scope.TRAIN)
        return await self._executors.planning.run(self._suggest, caller.tenant, data, targets, sweep_seconds)

    async def _queue(self, tenant: str, identifier: str) -> QueuePosition | None:
        await self._executors.store.run(self._store.require, tenant, identifier)
        return await self._supervisor.queue(identifier)

    async def _require_own(self, caller: Principal, identifier: str) -> None:
        """Raises NotFoundError for another tenant's job, as for one that does not exist."""
        await self._executors.store.run(self._store.require, caller.tenant, identifier)

    def _own(self, tenant: str, identifier: str) -> JobRecord:
        self._store.require(tenant, identifier)
        return self._store.get(identifier)

    async def _create(self, caller: Principal, order: Callable[[], TrainOrder], gone: asyncio.Event) -> JobRecord:
        identifier, kept = new_id(), False
        try:
            record = await self._executors.planning.run(self._admit, caller, order, identifier)
            if record.identifier != identifier:
                return record
            # looked at for the last time: a job that is submitted is made, whoever waits for it
            if gone.is_set():
                raise asyncio.CancelledError
            job, kept = await self._supervisor.submit(record)
        finally:
            if not kept and self._layout.job(identifier).exists():
                await self._executors.files.run(self._tenants.of(caller.tenant).admission.discard, identifier)
        return job

    def _admit(self, caller: Principal, read: Callable[[], TrainOrder], identifier: str) -> JobRecord:
        """The record of a new job, or the job that an order that is repeated has made.

        That one is not checked again: its data may have gone since.
        """
        order, now, admission = read(), datetime.now(UTC), self._tenants.of(caller.tenant).admission
        if (known := self._store.known(caller.tenant, order.request_id, order.digest)) is not None:
            return known
        details = order.details
        records = admission.files(order.data, self._layout.job(identifier))
        initial = self._initial_model(caller.tenant, order)
        plan = admission.check(order, records, initial)
        resolved = spec_resolved(plan) if plan is not None else None
        return JobRecord(
            identifier=identifier,
            request_id=order.request_id,
            request_digest=order.digest,
            display_name=order.display_name,
            state=State.QUEUED,
            create_time=now,
            update_time=now,
            spec=order.spec.compact(),
            sources=records,
            resolved=resolved,
            source_rows=resolved.sources if resolved is not None else {},
            tenant=caller.tenant,
            description=details.description,
            labels=dict(details.labels),
            creator="" if caller is ANONYMOUS else caller.name[:_MOST_CREATOR],
            priority=details.priority,
            deadline=now + timedelta(seconds=details.timeout) if details.timeout else None,
            ttl=details.ttl,
            initial_model=initial.bundle.folder.name if initial is not None else "",
        )

    def _initial_model(self, tenant: str, order: TrainOrder) -> InitialModel | None:
        """The model that an order begins from; raises NotFoundError."""
        name, own = order.details.initial_model, self._tenants.of(tenant)
        if not name:
            return None
        identifier = self._names.current(tenant, name, "initial_model")
        return InitialModel.at(identifier, own.models, own.runtime.encoder_store)

    def _suggest(
        self, tenant: str, read: Callable[[], DataSource], targets: Sequence[str], sweep_seconds: float
    ) -> Suggestion:
        source, identifier, own = read(), f"suggest-{new_id()}", self._tenants.of(tenant)
        try:
            table = own.admission.table(own.admission.files({"dataset": source}, self._layout.job(identifier)))
            return suggest(table, targets, own.runtime.sources, own.runtime.device.type, sweep_seconds)
        finally:
            own.admission.discard(identifier)

    def _plan(self, tenant: str, read: Callable[[], TrainOrder]) -> PlannedJob:
        order, identifier, own = read(), f"plan-{new_id()}", self._tenants.of(tenant)
        if not order.data:
            return PlannedJob(order.spec)
        try:
            records = own.admission.files(order.data, self._layout.job(identifier))
            plan = own.admission.plan(order, records, self._initial_model(tenant, order))
        finally:
            own.admission.discard(identifier)
        passes, tests = planned_passes(plan, own.runtime.store), planned_test_passes(plan, own.runtime.store)
        return PlannedJob(order.spec, plan, passes, tests)
