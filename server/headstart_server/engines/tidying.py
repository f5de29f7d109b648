"""Keeps what one machine has of tables, tokens, embeddings and copies below limits."""

import shutil
import time
from dataclasses import dataclass

import structlog

from headstart_server.core.files import remove
from headstart_server.core.layout import Layout
from headstart_server.core.pruning import Pruned, prune
from headstart_server.embedding_store.eviction import evict
from headstart_server.settings import Settings
from headstart_server.storage.storage import Storage

_log = structlog.get_logger()
DAY_SECONDS = 86_400.0
RECENT_SECONDS = 3_600.0
"""Uploads, plans and other machines' jobs are not known here; they take less."""


@dataclass(frozen=True)
class Limits:
    """Of one machine's disk; 0 is none."""

    store_bytes: int = 0
    """Of all shards."""
    cache_days: float = 0.0
    """For which what is not used stays."""
    cache_bytes: int = 0
    """Of `tables/`, `tokens/` and quarantined shards together."""

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """Those that a server was given."""
        return cls(settings.max_store_bytes, settings.cache_days, settings.max_cache_bytes)

    def used_before(self, now: float) -> float:
        """When what may go was last used, at the latest; in seconds since the epoch, as `now`."""
        return now - self.cache_days * DAY_SECONDS if self.cache_days else 0.0


def limit_store(layout: Layout, limits: Limits) -> None:
    """Evicts the least recently used shards that nobody has open."""
    if limits.store_bytes and (evicted := evict(layout.embeddings, limits.store_bytes)).shards:
        _log.info("evicted embeddings", shards=evicted.shards, bytes=evicted.bytes)


def prune_caches(layout: Layout, limits: Limits, now: float, in_use_since: float) -> Pruned:
    """Removes converted tables, tokens and quarantined shards past their age or size.

    What was used since a moment stays. Times are seconds since the epoch.
    """
    kept = [path for folder in (layout.tables, layout.tokens) for path in folder.glob("[!.]*")]
    kept += layout.embeddings.glob("*/quarantine/*")
    pruned = prune(kept, used_before=limits.used_before(now), limit_bytes=limits.cache_bytes, in_use_since=in_use_since)
    if pruned.files:
        _log.info("pruned caches", files=pruned.files, bytes=pruned.bytes)
    return pruned


def tend_machine(storage: Storage, limits: Limits, job: str) -> None:
    """Tidies up after a job on a machine that has no server to do so. Everything there is a copy."""
    layout, now = storage.layout, time.time()
    shutil.rmtree(layout.job(job), ignore_errors=True)
    limit_store(layout, limits)
    prune_caches(layout, limits, now, now - RECENT_SECONDS)
    storage.forget_removed()
    for left in layout.jobs.glob("*"):  # by processes that were killed
        if left.stat().st_mtime < limits.used_before(now):
            remove(left)
