"""What the store holds, read from disk alone."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from headstart_server.core.files import read_json
from headstart_server.embedding_store.shard import CorruptShardError, Shard


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
