"""Keeps files that can be made again below an age and a size. A file's time of modification is its last use."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headstart_server.core.files import remove


@dataclass(frozen=True)
class Pruned:
    """What was removed."""

    files: int = 0
    bytes: int = 0


def mark_used(path: Path) -> None:
    """Notes that a file is used now; where files cannot be written to, none is removed either."""
    with suppress(OSError):
        os.utime(path)


def prune(files: Iterable[Path], *, used_before: float, limit_bytes: int, in_use_since: float) -> Pruned:
    """Removes files last used before one moment, then the least recently used while all hold more than `limit_bytes`.

    A limit of 0 is none. What was used after `in_use_since` stays. Times are seconds since the epoch.
    """
    found = sorted((stat.st_mtime, stat.st_size, path) for path in files if (stat := _stat(path)) is not None)
    total = sum(size for _, size, _ in found)
    removed = removed_bytes = 0
    for used, size, path in found:
        too_much = bool(limit_bytes) and total - removed_bytes > limit_bytes
        # in ascending order of use: where one stays for these reasons, all that follow stay
        if used >= in_use_since or not (used < used_before or too_much):
            break
        with suppress(OSError):  # another process was faster, or the folder is read-only
            if path.stat().st_mtime != used:
                continue  # somebody has begun to use it meanwhile
            remove(path)
            removed, removed_bytes = removed + 1, removed_bytes + size
    return Pruned(removed, removed_bytes)


def _stat(path: Path) -> os.stat_result | None:
    """None where another process removed it meanwhile."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None
