"""Keeps the store below a size: removes the least recently used shards that nobody has open."""

import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.files import folder_size


@dataclass(frozen=True)
class Evicted:
    """What an eviction removed."""

    shards: int
    bytes: int


def evict(root: Path, limit_bytes: int) -> Evicted:
    """Removes shards, least recently used first, until those below `root` hold at most `limit_bytes`."""
    shards = [(path.stat(), path) for path in root.glob("*/shards/[!.]*.safetensors")]
    total = sum(stat.st_size for stat, _ in shards)
    removed = removed_bytes = 0
    for stat, path in sorted(shards, key=lambda item: item[0].st_mtime_ns):
        if total - removed_bytes <= limit_bytes:
            break
        if _remove_unused(path):
            removed += 1
            removed_bytes += stat.st_size
    return Evicted(removed, removed_bytes)


def delete_space(folder: Path) -> int:
    """Removes a whole space; returns its bytes. Raises FailedPreconditionError while a job has it open."""
    size = folder_size(folder)
    for path in folder.glob("shards/[!.]*.safetensors"):
        if not _remove_unused(path):
            raise FailedPreconditionError("the embedding space is in use by a job; try again when it has ended")
    shutil.rmtree(folder)
    return size


def _remove_unused(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
