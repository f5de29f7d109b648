"""Keeps what one machine has of tables, tokens, embeddings and copies below limits."""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from headstart_server.core.errors import HeadstartError
from headstart_server.core.files import TEMPORARY, remove
from headstart_server.core.layout import Layout
from headstart_server.core.locks import Lock, try_exclusive
from headstart_server.core.pruning import Pruned, kept_files, prune
from headstart_server.data.received import PARTS
from headstart_server.embedding_store.eviction import evict
from headstart_server.settings import Settings
from headstart_server.storage.storage import Storage

_log = structlog.get_logger()
DAY_SECONDS = 86_400.0
_ABANDONED = (
    f".*{TEMPORARY}",
    f"*/.*{TEMPORARY}",
    "datasets/.*.upload",
    f"embeddings/*/.*{TEMPORARY}",
    f"embeddings/*/shards/.*{TEMPORARY}",
    "embeddings/*/claims/*.claim",
    f"jobs/*/.*{TEMPORARY}",
    f"jobs/*/checkpoints/.*{TEMPORARY}",
)
"""What processes write before it has its name, and what says that they live, as each tenant has it."""
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
    """Of `tables/`, `tokens/`, quarantined shards and copies of what lies in the shared storage together."""

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """Those that a server was given."""
        return cls(settings.max_store_bytes, settings.cache_days, settings.max_cache_bytes)

    def used_before(self, now: float) -> float:
        """When what may go was last used, at the latest; in seconds since the epoch, as `now`."""
        return now - self.cache_days * DAY_SECONDS if self.cache_days else 0.0


def limit_store(layout: Layout, limits: Limits) -> None:
    """Evicts the least recently used shards that nobody has open, whichever tenant's."""
    if limits.store_bytes and (evicted := evict(layout.embedding_stores(), limits.store_bytes)).shards:
        _log.info("evicted embeddings", shards=evicted.shards, bytes=evicted.bytes)


def prune_caches(storage: Storage, limits: Limits, now: float, in_use_since: float) -> Pruned:
    """Removes converted tables, tokens, quarantined shards, and copies of what lies in the shared storage, of all
    tenants, past their age or size.

    What was used since a moment stays. Times are seconds since the epoch.
    """
    layout = storage.layout
    folders = [folder for each in layout.everyone() for folder in (each.tables, each.tokens)]
    kept = [path for folder in folders for path in folder.glob("[!.]*")]
    kept += [path for store in layout.embedding_stores() for path in store.glob("*/quarantine/*")]
    pruned = prune(
        (*kept_files(kept), *storage.copies()),
        used_before=limits.used_before(now),
        limit_bytes=limits.cache_bytes,
        in_use_since=in_use_since,
    )
    if pruned.files:
        _log.info("pruned caches", files=pruned.files, bytes=pruned.bytes)
    return pruned


def remove_abandoned(layout: Layout, before: float) -> None:
    """Removes what killed processes had not published, not quite removed, or claimed before a moment.

    What a living process has locked stays, however old it is.
    """
    _remove(layout, _ABANDONED, before, "removing what a killed process left")


def remove_broken_uploads(layout: Layout, before: float) -> None:
    """Removes what has arrived of uploads with which nobody went on since a moment."""
    _remove(layout, (f"datasets/{PARTS}",), before, "removing what arrived of a broken upload")


def _remove(layout: Layout, patterns: Sequence[str], before: float, event: str) -> None:
    for path in [path for each in layout.everyone() for pattern in patterns for path in each.own.glob(pattern)]:
        with suppress(FileNotFoundError):  # it was published just now
            if _last_written(path) < before and not _is_locked(path):
                _log.info(event, path=path.name)
                remove(path)


def remove_jobless(storage: Storage, before: float, is_known: Callable[[str], bool]) -> None:
    """Removes folders of plans, and of jobs that were never stored, in which nothing was written since a moment."""
    for folder in storage.layout.jobs.glob("[!.]*"):
        with suppress(FileNotFoundError):
            if _last_written(folder) < before and not is_known(folder.name):
                _log.info("removing what a killed process left", path=folder.name)
                storage.forget_job(folder.name)
                remove(folder)


def _is_locked(path: Path) -> bool:
    """Whether a living process holds the file: uploads and claims are locked while they are written."""
    if path.is_dir():
        return False
    descriptor = os.open(path, os.O_RDWR)
    try:
        # a lock that is won here goes with the descriptor
        return try_exclusive(descriptor) is Lock.TAKEN
    finally:
        os.close(descriptor)


def tend_machine(storage: Storage, limits: Limits) -> None:
    """Tidies up before a job on a machine that has no server to do so, as far as it can. Everything there is a copy."""
    layout = storage.layout
    if layout.precision.exists():  # a server's, which knows its jobs
        return
    try:
        limit_store(layout, limits)
        now = time.time()
        jobs = {folder: _last_written(folder) for folder in layout.jobs.glob("*")}
        # a folder's own time is about its job's beginning, as later writes go to folders in it; what was used since
        # then may be in use
        living = [folder.stat().st_mtime for folder, written in jobs.items() if written > now - _SILENT_SECONDS]
        prune_caches(storage, limits, now, min([now - RECENT_SECONDS, *living]))
        remove_abandoned(layout, min([now - DAY_SECONDS, *living]))
        for folder, written in jobs.items():
            if written <= now - _SILENT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
        storage.forget_removed()
    except (HeadstartError, OSError):  # another process was faster, or the job will say what is wrong
        _log.warning("could not tidy up", exc_info=True)


def _last_written(folder: Path) -> float:
    """When a file, or anything in a folder, was; what goes meanwhile does not count. Raises FileNotFoundError."""
    times = [folder.lstat().st_mtime]
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            times.append(path.lstat().st_mtime)
    return max(times)
