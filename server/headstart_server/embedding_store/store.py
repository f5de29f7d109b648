"""The store: spaces, their shards, verified reads, quarantine. Any number of readers and writers, no lock.

Layout, on a disk as in an object store: `{root}/{space}/space.json`, `shards/*.safetensors`, `claims/`, `quarantine/`.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from headstart_server.core.errors import DataLossError, NotFoundError
from headstart_server.core.files import write_json
from headstart_server.embedding_store.eviction import delete_space, require_unclaimed
from headstart_server.embedding_store.inventory import (
    SpaceSummary,
    read_space,
    sound_spaces,
    summarise,
    summarise_object_store,
)
from headstart_server.embedding_store.shard_storage import FolderShardStorage, RemoteShardStorage, ShardStorage
from headstart_server.embedding_store.space import Space
from headstart_server.embedding_store.space_store import SpaceStore
from headstart_server.storage.object_store import ObjectStore

_MOST_SPACES = 512
"""In memory; of those that are dropped the next use reads the index again."""


class EmbeddingStore:
    """All spaces below one folder, and in an object store, if machines share one."""

    def __init__(self, root: Path, object_store: ObjectStore | None = None, *, threads: int | None = None) -> None:
        self.root, self.object_store = root, object_store
        self._threads = threads or min(8, os.cpu_count() or 1)
        self._spaces: dict[str, SpaceStore] = {}
        self._lock = threading.Lock()
        self._sound = sound_spaces()

    def space(self, space: Space) -> SpaceStore:
        """The store of one space, made on first use."""
        identifier = space.identifier
        with self._lock:
            if identifier not in self._spaces:
                self._drop_oldest()
                self._spaces[identifier] = SpaceStore(space, self.root / identifier, self._threads, self._made(space))
            return self._spaces[identifier]

    def _drop_oldest(self) -> None:
        """Keeps those in memory few: callers of Embed make a space of each length limit that they think of."""
        while len(self._spaces) >= _MOST_SPACES:
            oldest = min(self._spaces, key=lambda identifier: self._spaces[identifier].last_use)
            self._spaces.pop(oldest).close()

    def _made(self, space: Space) -> ShardStorage:
        """The shards' storage of a space, with its description beside it; a damaged one is mended."""
        folder = self.root / space.identifier
        if not _describes(lambda: (folder / "space.json").read_bytes(), space):
            write_json(folder / "space.json", space.describe())
        if self.object_store is None:
            return FolderShardStorage(folder)
        object_store = self.object_store.below(space.identifier)
        if not _describes(lambda: object_store.read("space.json"), space):
            object_store.publish(folder / "space.json", "space.json")
        return RemoteShardStorage(folder, object_store)

    def delete(self, identifier: str) -> None:
        """Removes a space, here and for all machines.

        Raises NotFoundError where there is none, FailedPreconditionError while a job uses it.
        """
        folder = self.root / identifier
        here, object_store = folder.is_dir(), None if self.object_store is None else self.object_store.below(identifier)
        if not here and (object_store is None or not object_store.files()):
            raise NotFoundError(f"embeddingSpaces/{identifier} does not exist", field="name")
        with self._lock:
            space = self._spaces.pop(identifier, None)
        # the shards that this process has open would count as in use, too
        if space is not None:
            space.close()
        if object_store is not None:
            require_unclaimed(object_store)
        if here:
            delete_space(folder)
        if object_store is not None:
            # the description first: without it no machine lists the space, whatever a crash leaves of it
            object_store.remove("space.json")
            object_store.remove(*object_store.files())

    def summaries(self) -> list[SpaceSummary]:
        """Every space: of all machines where they share an object store, else of this one's disk."""
        if self.object_store is None:
            return summarise(self.root, self._sound)
        return summarise_object_store(self.object_store, self._sound)

    def release_idle(self, seconds: float) -> None:
        """Closes the shards of spaces unused for so long, so that they can be evicted; the next use opens them."""
        with self._lock:
            spaces = list(self._spaces.values())
        for space in spaces:
            if time.monotonic() - space.last_use >= seconds:
                space.close()

    def spaces(self) -> list[Space]:
        """Every space on disk whose description is readable."""
        found = []
        for path in sorted(self.root.glob("*/space.json")):
            try:
                found.append(read_space(path.read_bytes(), path.parent.name))
            except (OSError, DataLossError):
                continue
        return found


def _describes(read: Callable[[], bytes], space: Space) -> bool:
    """Whether a space's description is there and sound; else it is written, for the space is known."""
    try:
        return read_space(read(), space.identifier) == space
    except (FileNotFoundError, DataLossError):
        return False
