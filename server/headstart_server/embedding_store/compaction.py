"""Merges a space's small shards into larger ones, so that it opens quickly and with few files, whoever filled it.

A merged shard names its parts and is published before they go; readers take it in their place. A part that somebody has
open stays for a later round. So a crash at any moment loses no row, and neither does a reader, an eviction or another
process that compacts beside this one.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headstart_server import metrics
from headstart_server.core.locks import Lock, share, try_exclusive
from headstart_server.core.names import new_id
from headstart_server.embedding_store.eviction import remove_open, remove_unused
from headstart_server.embedding_store.key import Keys, distinct
from headstart_server.embedding_store.listing import shard_names
from headstart_server.embedding_store.shard import CorruptShardError, Shard, write_shard

LEAST_SHARDS = 16
SMALL_BYTES = 16 << 20
MERGED_BYTES = 64 << 20  # as SHARD_BYTES in fill.py
MOST_PARTS = 256
"""Shards open at the same time."""
_MERGED = "-merged.safetensors"


@dataclass(frozen=True)
class Compacted:
    """What a compaction did."""

    parts: int = 0
    """Shards whose rows lie in a merged one now."""
    merged: int = 0
    """Merged shards."""
    removed: int = 0
    """Parts removed; the others are in use and go in a later round."""

    def __add__(self, other: "Compacted") -> "Compacted":
        """Both."""
        return Compacted(self.parts + other.parts, self.merged + other.merged, self.removed + other.removed)


def compact(root: Path, least_shards: int = LEAST_SHARDS) -> Compacted:
    """Merges the small shards of every space below `root` that has at least so many; raises StoreFullError."""
    done = Compacted()
    for description in sorted(root.glob("*/space.json")):
        with _alone(description.parent) as alone:
            if alone:
                done += _compact_space(description.parent, least_shards)
    metrics.STORE_MERGED.inc(done.parts)
    return done


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether this process compacts the space and no other does; where that cannot be known, none does."""
    try:
        descriptor = os.open(folder / "compaction.lock", os.O_CREAT | os.O_RDWR, 0o600)
    except FileNotFoundError:  # the space was deleted
        yield False
        return
    try:
        yield try_exclusive(descriptor) is Lock.MINE
    finally:
        os.close(descriptor)


def _compact_space(folder: Path, least_shards: int) -> Compacted:
    shards = folder / "shards"
    # names begin with ids, which sort by time: the oldest are merged first
    sizes = {name: size for name in sorted(shard_names(shards)) if 0 <= (size := _size(shards / name)) < SMALL_BYTES}
    left, removed = _finish(shards, sizes)
    done = Compacted(removed=removed)
    # parts that somebody still reads are in a merged shard already: once more would keep their rows twice
    small = {name: size for name, size in sizes.items() if name not in left}
    if len(small) >= least_shards:
        for group in _groups(small):
            done += _merge(shards, folder.name, group)
    return done


def _finish(shards: Path, small: dict[str, int]) -> tuple[set[str], int]:
    """Removes parts that were in use when they were merged, or whose merging was cut short.

    Returns the parts there were, and how many of them went.
    """
    found: set[str] = set()
    removed = 0
    # opens every merged shard, so not in each round of a space that holds nothing else that is small
    if any(not name.endswith(_MERGED) for name in small):
        for name in shard_names(shards):
            merged = _open(shards / name, shards.parent.name) if name.endswith(_MERGED) else None
            if merged is not None:
                left = merged.parts & small.keys()
                removed += sum(remove_unused(shards / part) for part in left)
                found |= left
    return found, removed


def _groups(sizes: dict[str, int]) -> Iterator[list[str]]:
    """Two shards or more that fit a merged one, oldest first."""
    group: list[str] = []
    total = 0
    for name, size in sizes.items():
        if group and (total + size > MERGED_BYTES or len(group) == MOST_PARTS):
            yield group
            group, total = [], 0
        group.append(name)
        total += size
    if len(group) > 1:
        yield group


def _merge(shards: Path, space: str, names: list[str]) -> Compacted:
    """Merges shards, those of each type by themselves, so that every embedding stays what it is.

    The parts are locked as a reader's until the merged shard is published, which keeps them from eviction and their
    space from deletion. What cannot be read is left for the next reader, which takes it to quarantine.
    """
    done = Compacted()
    parts = [part for name in names if (part := _open(shards / name, space)) is not None]
    for dtype in {np.dtype(part.dtype) for part in parts}:
        rows = [(part, *read) for part in parts if part.dtype == dtype and (read := _read(part)) is not None]
        # one alone gains nothing; and of a space that is deleted meanwhile, at most one part was opened before it went,
        # which must not bring the space back
        if len(rows) > 1:
            sound, keys, embeddings = zip(*rows, strict=True)
            done += _publish(shards, sound, np.concatenate(keys), np.concatenate(embeddings))
    return done


def _open(path: Path, space: str) -> Shard | None:
    """The shard, locked; None where it went, or is none of this space."""
    try:
        shard = Shard.open(path)
    except (CorruptShardError, FileNotFoundError):
        return None
    # one that was evicted before this line is still read through its descriptor
    share(shard.file.descriptor)
    return shard if shard.space == space else None


def _read(shard: Shard) -> tuple[Keys, npt.NDArray[np.floating]] | None:
    """(keys, embeddings), or None where any of it does not match its checksum."""
    blocks = [shard.block(index) for index in range(len(shard.checksums))]
    sound = [block for block in blocks if block is not None]
    # max: one without rows has no block, and nothing to merge
    if len(sound) < max(1, len(blocks)):
        return None
    try:
        return shard.keys(), np.concatenate(sound)
    except CorruptShardError:
        return None


def _publish(shards: Path, parts: tuple[Shard, ...], keys: Keys, embeddings: npt.NDArray[np.floating]) -> Compacted:
    """Publishes the merged shard, as lately used as its parts were, then removes those of them that nobody reads."""
    path = shards / f"{new_id()}{_MERGED}"
    first = np.sort(distinct(keys))
    # a shard's time of modification is that of its last use, by which it is evicted
    used = max(os.fstat(part.file.descriptor).st_mtime_ns for part in parts)
    # what the parts took the place of, and readers still keep on disk: who reads the new shard leaves it out, too
    inherited = {name for part in parts for name in part.parts if (shards / name).exists()}
    names = inherited | {part.path.name for part in parts}
    write_shard(path, parts[0].space, keys[first], embeddings[first], parts=sorted(names))
    merged = Shard.open(path)
    share(merged.file.descriptor)  # no eviction takes it before its parts have gone
    os.utime(path, ns=(used, used))
    # flock(2) gives up the shared lock where it cannot be made exclusive: not needed any more, the rows are published
    return Compacted(len(parts), 1, sum(remove_open(part.path, part.file.descriptor) for part in parts))


def _size(path: Path) -> int:
    """-1 where another process removed it meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
