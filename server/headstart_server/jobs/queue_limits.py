"""How many jobs may wait: in all, and of each tenant."""

from headstart_server.core.errors import OverloadedError, QuotaError
from headstart_server.core.executors import Executor
from headstart_server.core.quotas import Quotas
from headstart_server.core.states import State
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.store import JobStore


class QueueLimits:
    """Asked before a job is stored."""

    def __init__(self, most: int, quotas: Quotas, store: JobStore, threads: Executor) -> None:
        self._most, self._quotas, self._store, self._threads = most, quotas, store, threads

    async def refusal(self, job: JobRecord, waiting: int) -> OverloadedError | None:
        """Why a new job cannot be queued while so many wait; None where it can."""
        if waiting >= self._most:
            return OverloadedError(f"{self._most} jobs wait already; try again later", retry_after=30)
        if self._quotas.of(job.tenant).queued_jobs is None:
            return None
        queued = await self._threads.run(self._store.count, job.tenant, State.QUEUED)
        try:
            self._quotas.require_queued(job.tenant, queued)
        except QuotaError as error:
            return error
        return None
