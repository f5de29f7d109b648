"""Keeps what one machine has of tables, tokens, embeddings and copies below limits."""

import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from headstart_server.core.errors import HeadstartError
from headstart_server.core.files import TEMPORARY, remove
from headstart_server.core.layout import Layout
from headstart_server.core.pruning import Pruned, prune
from headstart_server.embedding_store.eviction import evict
from headstart_server.settings import Settings
from headstart_server.storage.storage import Storage

_log = structlog.get_logger()
DAY_SECONDS = 86_400.0
_SILENT_SECONDS = 7 * DAY_SECONDS
"""A job whose folder nobody has written to for so long has ended without a word."""
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


def remove_abandoned(layout: Layout, before: float) -> None:
    """Removes what killed processes had not published, or not quite removed, at a moment."""
    for folder in (layout.tables, layout.tokens, layout.datasets, layout.models, layout.artifacts, layout.encoders):
        for path in folder.glob(f".*{TEMPORARY}"):
            with suppress(FileNotFoundError):  # it was published just now
                if path.stat().st_mtime < before:
                    _log.info("removing what a killed process left", path=path.name)
                    remove(path)


def tend_machine(storage: Storage, limits: Limits) -> None:
    """Tidies up before a job on a machine that has no server to do so, as far as it can. Everything there is a copy."""
    layout = storage.layout
    if layout.precision.exists():  # a server's, which knows its jobs
        return
    try:
        limit_store(layout, limits)
        now = time.time()
        jobs = {folder: _last_written(folder) for folder in layout.jobs.glob("*")}
        living = [folder.stat().st_mtime for folder, written in jobs.items() if written > now - _SILENT_SECONDS]
        prune_caches(layout, limits, now, min([now - RECENT_SECONDS, *living]))
        remove_abandoned(layout, min([now - DAY_SECONDS, *living]))
        for folder, written in jobs.items():
            if written <= now - _SILENT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
        storage.forget_removed()
    except (HeadstartError, OSError):  # another process was faster, or the job will say what is wrong
        _log.warning("could not tidy up", exc_info=True)


def _last_written(folder: Path) -> float:
    return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
