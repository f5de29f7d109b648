"""Keeps what can be made or fetched again below an age and a size. A file's time of modification is its last use."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
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


@dataclass(frozen=True)
class Kept:
    """What can be made, or fetched, again."""

    marked: Path
    """Whose time is that of the last use."""
    size: int
    """In bytes."""
    remove: Callable[[], None]


def kept_files(paths: Iterable[Path]) -> Iterator[Kept]:
    """Files that can be made again, each by itself."""
    for path in paths:
        with suppress(FileNotFoundError):  # another process removed it meanwhile
            yield Kept(path, path.stat().st_size, partial(remove, path))


def prune(kept: Iterable[Kept], *, used_before: float, limit_bytes: int, in_use_since: float) -> Pruned:
    """Removes what was last used before one moment, then the least recently used while all hold more than
    `limit_bytes`.

    A limit of 0 is none. What was used after `in_use_since` stays. Times are seconds since the epoch.
    """
    found = sorted(
        ((stat.st_mtime, each) for each in kept if (stat := _stat(each.marked)) is not None),
        key=lambda item: (item[0], item[1].size, item[1].marked),
    )
    total = sum(each.size for _, each in found)
    removed = removed_bytes = 0
    for used, each in found:
        too_much = bool(limit_bytes) and total - removed_bytes > limit_bytes
        # in ascending order of use: where one stays for these reasons, all that follow stay
        if used >= in_use_since or not (used < used_before or too_much):
            break
        with suppress(OSError):  # another process was faster, or the folder is read-only
            if each.marked.stat().st_mtime != used:
                continue  # somebody has begun to use it meanwhile
            each.remove()
            removed, removed_bytes = removed + 1, removed_bytes + each.size
    return Pruned(removed, removed_bytes)


def _stat(path: Path) -> os.stat_result | None:
    """None where another process removed it meanwhile."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None
