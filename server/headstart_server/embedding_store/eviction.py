"""Keeps the store below a size: removes the least recently used shards that nobody has open."""

import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from headstart_server import metrics
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.files import TEMPORARY, folder_size
from headstart_server.core.locks import Lock, try_exclusive
from headstart_server.core.reasons import Reason
from headstart_server.embedding_store.claims import FolderClaims
from headstart_server.embedding_store.object_store_claims import ObjectStoreClaims
from headstart_server.storage.object_store import ObjectStore

_ABANDONED_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Evicted:
    """What an eviction removed."""

    shards: int
    bytes: int


def evict(roots: Iterable[Path], limit_bytes: int) -> Evicted:
    """Removes shards, least recently used first, until those below all `roots` together hold at most `limit_bytes`.

    What killed writers left half-written a day ago goes first.
    """
    shards = []
    for root in roots:
        _remove_abandoned(root)
        # a leading dot marks what is not published yet
        found = root.glob("*/shards/[!.]*.safetensors")
        shards += [(stat, path) for path in found if (stat := _stat(path)) is not None]
    total = sum(stat.st_size for stat, _ in shards)
    removed = removed_bytes = 0
    # shards never change: their time of modification is set by readers, and is that of the last use
    for stat, path in sorted(shards, key=lambda item: item[0].st_mtime_ns):
        if total - removed_bytes <= limit_bytes:
            break
        if remove_unused(path):
            removed += 1
            removed_bytes += stat.st_size
    metrics.STORE_EVICTED.inc(removed)
    metrics.STORE_EVICTED_BYTES.inc(removed_bytes)
    return Evicted(removed, removed_bytes)


def delete_space(folder: Path) -> int:
    """Removes a whole space or nothing; returns its bytes. Raises FailedPreconditionError while a job uses it."""
    locked: list[int] = []
    try:
        # every lock is kept until the folder is gone: no reader comes between the check and the removal
        for path in folder.glob("shards/[!.]*.safetensors"):
            try:
                locked.append(os.open(path, os.O_RDONLY))
            except FileNotFoundError:  # evicted or merged into another shard meanwhile
                continue
            # UNKNOWN passes, unlike in an eviction: else no space could be deleted on a file system without locks
            if try_exclusive(locked[-1]) is Lock.TAKEN:
                raise FailedPreconditionError(
                    "the embedding space is in use by a job; try again when it has ended", reason=Reason.SPACE_IN_USE
                )
        if FolderClaims(folder / "claims").living():
            raise FailedPreconditionError(
                "a job is encoding into the embedding space; try again when it has ended", reason=Reason.SPACE_IN_USE
            )
        size = folder_size(folder)
        shutil.rmtree(folder)
        return size
    finally:
        for descriptor in locked:
            os.close(descriptor)


def require_unclaimed(object_store: ObjectStore) -> None:
    """Raises FailedPreconditionError while a job of any machine encodes into a space in an object store.

    A job that reads it goes on with the copies that it has, and encodes again what it lacks.
    """
    if ObjectStoreClaims(object_store.below("claims")).living():
        raise FailedPreconditionError(
            "a job is encoding into the embedding space; try again when it has ended", reason=Reason.SPACE_IN_USE
        )


def remove_unused(path: Path) -> bool:
    """Removes a shard unless somebody has it open; where that cannot be known, it stays."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return remove_open(path, descriptor)
    finally:
        os.close(descriptor)


def remove_open(path: Path, descriptor: int) -> bool:
    """Removes a shard that this process has open, unless somebody else has it open, too."""
    alone = try_exclusive(descriptor) is Lock.MINE
    if alone:
        path.unlink(missing_ok=True)
    return alone


def _remove_abandoned(root: Path) -> None:
    for path in root.glob(f"*/shards/.*{TEMPORARY}"):
        stat = _stat(path)
        if stat is not None and time.time() - stat.st_mtime > _ABANDONED_SECONDS:
            path.unlink(missing_ok=True)


def _stat(path: Path) -> os.stat_result | None:
    """None where another process removed it meanwhile."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None
