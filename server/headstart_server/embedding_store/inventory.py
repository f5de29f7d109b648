"""What the store holds, read from its files alone."""

import json
from collections.abc import Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import cast

from headstart_server.core.descriptions import damaged_description
from headstart_server.core.errors import NotFoundError
from headstart_server.embedding_store.shard import CorruptShardError, Shard
from headstart_server.embedding_store.shard_storage import DistantFile
from headstart_server.embedding_store.space import Space
from headstart_server.storage.listing import SoundResources
from headstart_server.storage.object_store import ObjectStore, Stored

_THREADS = 8
_REMEDY = "delete it; the next job that needs it describes it again"


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


def sound_spaces() -> SoundResources:
    """The reader of one store's spaces."""
    return SoundResources("embeddingSpaces")


def summarise(root: Path, sound: SoundResources | None = None) -> list[SpaceSummary]:
    """Every space below `root` whose description is readable."""
    names = sorted(path.parent.name for path in root.glob("*/space.json"))
    return list((sound or sound_spaces()).read(names, lambda name: _summary(root / name)))


def summarise_object_store(object_store: ObjectStore, sound: SoundResources) -> list[SpaceSummary]:
    """Every space in an object store whose description is readable.

    Shards are immutable, so each header is read once ever.
    """
    files = object_store.files()
    # of a space only its description lies directly below its name
    spaces = sorted(name.removesuffix("/space.json") for name in files if name.count("/") == 1)
    named = [space for space in spaces if f"{space}/space.json" in files]
    return list(sound.read(named, lambda space: _object_store_summary(object_store, space, files)))


def verify(root: Path) -> list[ShardCheck]:
    """Reads every block of every shard below `root` and compares it with its checksum."""
    return [_check(path) for path in sorted(root.glob("*/shards/[!.]*.safetensors"))]


def read_space(data: bytes, identifier: str) -> Space:
    """The space that a `space.json` describes; raises DataLossError where that is not the one it lies under."""
    try:
        space = Space.from_description(json.loads(data))
        if space.identifier != identifier:
            raise ValueError("it describes another space")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise damaged_description(f"embeddingSpaces/{identifier}", _REMEDY) from error
    return space


def _described(data: bytes, identifier: str) -> dict[str, str]:
    return read_space(data, identifier).describe()


def _summary(folder: Path) -> SpaceSummary:
    rows: dict[str, int] = {}
    merged: set[str] = set()
    size = 0
    try:
        description = _described((folder / "space.json").read_bytes(), folder.name)
        last_use = (folder / "space.json").stat().st_mtime
    except FileNotFoundError:
        raise NotFoundError(f"embeddingSpaces/{folder.name} does not exist", field="name") from None
    except OSError as error:
        raise damaged_description(f"embeddingSpaces/{folder.name}", _REMEDY) from error
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
    # a part that is still on disk has its rows in a merged shard, too
    counted = sum(count for name, count in rows.items() if name not in merged)
    return SpaceSummary(folder.name, description, counted, size, len(rows), quarantined, last_use)


def _object_store_summary(object_store: ObjectStore, space: str, files: Mapping[str, Stored]) -> SpaceSummary:
    try:
        description = _described(object_store.read(f"{space}/space.json"), space)
    except FileNotFoundError:
        raise NotFoundError(f"embeddingSpaces/{space} does not exist", field="name") from None
    shards = {name: stored for name, stored in files.items() if name.startswith(f"{space}/shards/")}
    with ThreadPoolExecutor(_THREADS) as pool:
        heads = list(pool.map(partial(_head, cast(Hashable, object_store)), shards, shards.values()))
    merged = {part for _, parts in heads for part in parts}
    rows = sum(count for name, (count, _) in zip(shards, heads, strict=True) if name.rpartition("/")[2] not in merged)
    quarantined = sum(name.startswith(f"{space}/quarantine/") for name in files)
    last_use = max(stored.modified for name, stored in files.items() if name.startswith(f"{space}/"))
    size = sum(stored.size for stored in shards.values())
    return SpaceSummary(space, description, rows, size, len(shards), quarantined, last_use)


# the object store is told by identity, a file by its name, size and time: one that is published anew is read anew
@lru_cache(maxsize=100_000)
def _head(object_store: ObjectStore, name: str, stored: Stored) -> tuple[int, frozenset[str]]:
    """(rows, shards whose rows lie there, too); nothing of a shard that is damaged or gone."""
    try:
        shard = Shard.read(Path(name), DistantFile(object_store, name, stored.size))
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
