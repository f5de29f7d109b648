"""Retention in the state directory, once a minute: the store, the caches beside it, and what was left lying about."""

import asyncio
import shutil
import time
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from headstart_server.core.errors import DataLossError, NotFoundError
from headstart_server.core.pruning import Pruned
from headstart_server.core.states import State
from headstart_server.embedding_store.compaction import compact
from headstart_server.engines.retention import (
    DAY_SECONDS,
    RECENT_SECONDS,
    Limits,
    limit_store,
    prune_caches,
    remove_abandoned,
    remove_broken_uploads,
    remove_jobless,
)
from headstart_server.jobs.store import JobStore
from headstart_server.service.embeddings import SCRATCH
from headstart_server.settings import Settings
from headstart_server.storage.storage import Storage

_log = structlog.get_logger()
_TIDY_SECONDS = 3_600.0
_ABANDONED_SECONDS = DAY_SECONDS
_IN_PROGRESS = tuple(state for state in State if not state.terminal and state is not State.PAUSED)


class Stores(Protocol):
    """Embedding stores of this process."""

    def release_idle(self, seconds: float) -> None:
        """Closes what was not used for so long."""


class EndedExports(Protocol):
    """The store of export jobs."""

    def expire(self, before: datetime) -> int:
        """Deletes what ended before a time; returns how many."""


class Retention:
    """Keeps one state directory, with all that its tenants have, below its settings' limits."""

    period_seconds = 60.0

    def __init__(
        self, storage: Storage, settings: Settings, stores: Stores, jobs: JobStore, exports: EndedExports
    ) -> None:
        self._storage, self._stores, self._jobs, self._exports = storage, stores, jobs, exports
        self._limits = Limits.of(settings)
        self._layout = storage.layout
        self._event_days = settings.event_days
        self._tidied = float("-inf")

    async def run(self) -> None:
        """Goes on until it is cancelled; a round that fails is logged, and the next one tries again."""
        while True:
            try:
                await asyncio.to_thread(self.tend)
            except Exception:  # noqa: BLE001 - nobody else keeps the disk below its limits
                _log.exception("retention failed")
            await asyncio.sleep(self.period_seconds)

    def tend(self) -> None:
        """One round: closes idle spaces, evicts and merges shards, prunes caches and quarantine."""
        # first: what this process has open cannot be evicted
        self._stores.release_idle(self.period_seconds)
        limit_store(self._layout, self._limits)
        if self._storage.object_store is None:  # else shards here are copies of those there
            for store in self._layout.embedding_stores():
                compacted = compact(store)
                if compacted.merged:
                    _log.info("merged shards", shards=compacted.parts, into=compacted.merged)
        if time.monotonic() - self._tidied >= _TIDY_SECONDS:
            # noted before it is done: what fails is tried again in an hour, not each minute
            self._tidied = time.monotonic()
            self.tidy(time.time())
        self.prune_caches(time.time())
        now = self._jobs.moment()
        self._exports.expire(now - timedelta(days=1))
        for identifier in self._jobs.expired():
            self._delete(identifier)
        if self._event_days:
            expired_events = self._jobs.expire_events(now - timedelta(days=self._event_days))
            if expired_events:
                _log.info("removed events of ended jobs", jobs=expired_events)

    def _delete(self, identifier: str) -> None:
        """Deletes a job that ended longer ago than it is kept; its name goes last, so that it can be tried again."""
        with suppress(DataLossError, NotFoundError):
            job = self._jobs.get(identifier)
            if job.state is not State.SUCCEEDED:  # what says that its model is none goes with it
                self._storage.of(job.tenant).forget_model(identifier)
        self._storage.forget_job(identifier)
        shutil.rmtree(self._layout.job(identifier), ignore_errors=True)
        self._jobs.delete(identifier)
        _log.info("deleted a job at the end of its time to live", job=identifier)

    def tidy(self, now: float) -> None:
        """Removes what killed processes left in the shared storage, and of jobs and plans that never came to be."""
        if self._storage.object_store is not None and (left := self._storage.tidy(now)):
            _log.info("removed what killed publishers left in the shared storage", files=left)
        remove_jobless(self._storage, now - _ABANDONED_SECONDS, self._is_job)
        for layout in self._layout.everyone():
            storage = self._storage.of(layout.tenant)
            for model in filter(self._ended_without, storage.models.names()):
                _log.info("removed a model whose job did not succeed", model=model)
                storage.forget_model(model)

    def _is_job(self, identifier: str) -> bool:
        if identifier == SCRATCH:
            return True
        try:
            self._jobs.get(identifier)
        except NotFoundError:
            return False
        except DataLossError:  # it is there until somebody deletes it
            return True
        return True

    def _ended_without(self, model: str) -> bool:
        """Whether a model is that of a job that has ended otherwise: a worker that was cut off may publish late."""
        try:
            state = self._jobs.get(model).state
        except (NotFoundError, DataLossError):  # jobs are deleted, and their models stay
            return False
        return state.terminal and state is not State.SUCCEEDED

    def prune_caches(self, now: float) -> Pruned:
        """Removes converted tables, tokens and quarantined shards past their age or size.

        A job opens its files after it was created, which marks them as used: whatever was used since the oldest job in
        progress was created stays.
        """
        oldest = self._jobs.earliest(_IN_PROGRESS)
        in_use_since = min(now - RECENT_SECONDS, oldest.timestamp() if oldest else now)
        found = prune_caches(self._storage, self._limits, now, in_use_since)
        remove_abandoned(self._layout, min(in_use_since, now - _ABANDONED_SECONDS))
        remove_broken_uploads(self._layout, now - DAY_SECONDS)
        return found
