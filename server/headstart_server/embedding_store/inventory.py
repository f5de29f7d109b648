"""What the store holds, read from its files alone."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from headstart_server.core.files import read_json
from headstart_server.embedding_store.shard import CorruptShardError, Shard
from headstart_server.embedding_store.shelf import DistantFile
from headstart_server.storage.depot import Depot, Stored

_THREADS = 8


@dataclass(frozen=True)
class SpaceSummary:
    """One space on disk."""

    identifier: str
    description: dict[str, str]
    rows: int
    bytes: int
    shards: int
    quarantined: int
    last_use: float
    """Seconds since the epoch."""

    @property
    def last_use_time(self) -> datetime:
        """When it was last read or written, UTC."""
        return datetime.fromtimestamp(self.last_use, UTC)


@dataclass(frozen=True)
class ShardCheck:
    """What verifying a shard found."""

    path: Path
    rows: int
    corrupt_blocks: int
    problem: str = ""


def summarise(root: Path) -> list[SpaceSummary]:
    """Every space below `root` whose description is readable."""
    found = (_summary(path.parent) for path in sorted(root.glob("*/space.json")))
    return [summary for summary in found if summary is not None]


def summarise_depot(depot: Depot) -> list[SpaceSummary]:
    """Every space in a depot whose description is readable. Shards are immutable, so each header is read once ever."""
    files = depot.files()
    spaces = sorted(name.removesuffix("/space.json") for name in files if name.count("/") == 1)
    found = (_depot_summary(depot, space, files) for space in spaces if f"{space}/space.json" in files)
    return [summary for summary in found if summary is not None]


def verify(root: Path) -> list[ShardCheck]:
    """Reads every block of every shard below `root` and compares it with its checksum."""
    return [_check(path) for path in sorted(root.glob("*/shards/[!.]*.safetensors"))]


def _summary(folder: Path) -> SpaceSummary | None:
    rows: dict[str, int] = {}
    merged: set[str] = set()
    size = 0
    try:
        description = read_json(folder / "space.json")
        last_use = (folder / "space.json").stat().st_mtime
    except (OSError, ValueError):
        return None
    for path in folder.glob("shards/[!.]*.safetensors"):
        try:
            stat = path.stat()
            shard = Shard.open(path)
        except (CorruptShardError, FileNotFoundError):
            continue
        rows[path.name] = shard.rows
        merged |= shard.parts
        size += stat.st_size
        last_use = max(last_use, stat.st_mtime)
    quarantined = sum(1 for _ in folder.glob("quarantine/*"))
    counted = sum(count for name, count in rows.items() if name not in merged)
    return SpaceSummary(folder.name, description, counted, size, len(rows), quarantined, last_use)


def _depot_summary(depot: Depot, space: str, files: Mapping[str, Stored]) -> SpaceSummary | None:
    try:
        description = json.loads(depot.read(f"{space}/space.json"))
    except (FileNotFoundError, ValueError):
        return None
    shards = {name: stored for name, stored in files.items() if name.startswith(f"{space}/shards/")}
    with ThreadPoolExecutor(_THREADS) as pool:
        heads = list(pool.map(lambda item: _head(depot, *item), shards.items()))  # type: ignore[arg-type]
    merged = {part for _, parts in heads for part in parts}
    rows = sum(count for name, (count, _) in zip(shards, heads, strict=True) if name.rpartition("/")[2] not in merged)
    quarantined = sum(name.startswith(f"{space}/quarantine/") for name in files)
    last_use = max(stored.modified for name, stored in files.items() if name.startswith(f"{space}/"))
    size = sum(stored.size for stored in shards.values())
    return SpaceSummary(space, description, rows, size, len(shards), quarantined, last_use)


@lru_cache(maxsize=100_000)
def _head(depot: Depot, name: str, stored: Stored) -> tuple[int, frozenset[str]]:
    """(rows, shards whose rows lie there, too); nothing of a shard that is damaged or gone."""
    try:
        shard = Shard.read(Path(name), DistantFile(depot, name, stored.size))
    except (CorruptShardError, FileNotFoundError):
        return 0, frozenset()
    return shard.rows, shard.parts


def _check(path: Path) -> ShardCheck:
    try:
        shard = Shard.open(path)
    except (CorruptShardError, FileNotFoundError) as error:
        return ShardCheck(path, 0, 0, str(error))
    corrupt = sum(shard.block(index) is None for index in range(len(shard.checksums)))
    try:
        shard.keys()
    except CorruptShardError as error:
        return ShardCheck(path, shard.rows, corrupt, str(error))
    return ShardCheck(path, shard.rows, corrupt)
