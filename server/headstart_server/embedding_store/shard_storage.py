"""Where the shards of one space lie: on this machine's disk alone, or in an object store, with copies here."""

from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from headstart_server.core.locks import share
from headstart_server.core.names import new_id
from headstart_server.core.pruning import mark_used
from headstart_server.embedding_store.claims import Claims, FolderClaims
from headstart_server.embedding_store.key import Keys
from headstart_server.embedding_store.listing import shard_names
from headstart_server.embedding_store.object_store_claims import ObjectStoreClaims
from headstart_server.embedding_store.shard import OpenFile, Shard, write_shard
from headstart_server.storage.object_store import ObjectStore


class ShardStorage(Protocol):
    """The shards of one space, by name."""

    claims: Claims

    def names(self) -> set[str]:
        """Of the published shards, as one moment saw them."""

    def open(self, name: str) -> Shard:
        """A shard, kept from eviction here for as long as it is open.

        Raises CorruptShardError, or FileNotFoundError where it is gone.
        """

    def add(self, space: str, keys: Keys, embeddings: npt.NDArray[np.floating]) -> None:
        """Publishes a shard."""

    def is_copy(self, name: str) -> bool:
        """Whether a damaged shard may be sound where its copy came from."""

    def discard(self, name: str) -> None:
        """Takes a damaged shard out of use; a copy is removed, and comes again when it is wanted."""


class FolderShardStorage:
    """`{folder}/shards`, `claims/`, `quarantine/`. Any number of processes, on machines that mount the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._shards = folder, folder / "shards"
        self.claims: Claims = FolderClaims(folder / "claims")

    def names(self) -> set[str]:
        """See ShardStorage."""
        return shard_names(self._shards)

    def open(self, name: str) -> Shard:
        """See ShardStorage."""
        path = self._shards / name
        file = OpenFile(path)
        # waits while an eviction has it locked; what that removes is still read through the descriptor
        share(file.descriptor)
        return Shard.read(path, file)

    def add(self, space: str, keys: Keys, embeddings: npt.NDArray[np.floating]) -> None:
        """See ShardStorage."""
        write_shard(self._shards / f"{new_id()}.safetensors", space, keys, embeddings)

    def is_copy(self, name: str) -> bool:
        """See ShardStorage."""
        return False

    def discard(self, name: str) -> None:
        """See ShardStorage: moves it to quarantine."""
        folder = self._folder / "quarantine"
        with suppress(OSError):  # another process was faster, or the store is read-only: then it stays a miss
            folder.mkdir(exist_ok=True)
            # its age in quarantine counts from now
            mark_used((self._shards / name).rename(folder / name))


class RemoteShardStorage:
    """An object store's `shards/`, `claims/` and `quarantine/`, and copies of the shards that were read.

    A shard that is not here is known by its keys alone until somebody asks for an embedding of it.
    """

    def __init__(self, folder: Path, object_store: ObjectStore) -> None:
        self._shards, self._object_store, self._here = folder / "shards", object_store, FolderShardStorage(folder)
        self.claims: Claims = ObjectStoreClaims(object_store.below("claims"))
        self._sizes: dict[str, int] = {}
        """Of what the object store had when it was listed."""

    def names(self) -> set[str]:
        """See ShardStorage. Those that are only here, from a time before the object store, count too."""
        files = self._object_store.files("shards").items()
        self._sizes = {name.removeprefix("shards/"): stored.size for name, stored in files}
        return self._here.names() | self._sizes.keys()

    def open(self, name: str) -> Shard:
        """See ShardStorage."""
        try:
            return self._here.open(name)
        except FileNotFoundError:
            if name not in self._sizes:
                raise
            return Shard.read(self._shards / name, _BroughtFile(self._object_store, name, self._sizes[name], self))

    def add(self, space: str, keys: Keys, embeddings: npt.NDArray[np.floating]) -> None:
        """See ShardStorage. It is here first: what cannot be published is at least not lost to this machine."""
        name = f"{new_id()}.safetensors"
        write_shard(self._shards / name, space, keys, embeddings)
        self._object_store.publish(self._shards / name, f"shards/{name}")

    def is_copy(self, name: str) -> bool:
        """See ShardStorage: where the object store has other bytes."""
        try:
            return self._object_store.read(f"shards/{name}") != (self._shards / name).read_bytes()
        except FileNotFoundError:
            return False

    def discard(self, name: str) -> None:
        """See ShardStorage. What is damaged in the object store, too, moves to quarantine there."""
        copy = self.is_copy(name)
        try:
            if not copy:
                # copied before it is removed: a crash in between leaves it in both places, never in none
                self._object_store.write(f"quarantine/{name}", self._object_store.read(f"shards/{name}"))
                self._object_store.remove(f"shards/{name}")
        except FileNotFoundError:  # it is only here, from a time before the object store; or another machine was faster
            self._here.discard(name)
        (self._shards / name).unlink(missing_ok=True)

    def bring(self, name: str) -> OpenFile:
        """A copy of a shard, open and kept from eviction; raises FileNotFoundError if the object store lost it."""
        path = self._shards / name
        # two who come here at once fetch the same bytes, and each publishes them whole
        if not path.exists():
            self._object_store.fetch(f"shards/{name}", path)
        file = OpenFile(path)
        share(file.descriptor)
        return file


class DistantFile:
    """A shard's file in an object store, read by ranges."""

    descriptor = -1

    def __init__(self, object_store: ObjectStore, name: str, size: int) -> None:
        self._object_store, self._name, self.size = object_store, name, size

    def read(self, size: int, start: int) -> bytes:
        """See ReadableFile."""
        return self._object_store.read(self._name, start, max(0, min(size, self.size - start)))

    def bring(self) -> None:
        """It stays there."""


class _BroughtFile(DistantFile):
    """A shard's file that is read by ranges until it is wanted here, then from a copy."""

    def __init__(self, object_store: ObjectStore, name: str, size: int, shard_storage: RemoteShardStorage) -> None:
        super().__init__(object_store, f"shards/{name}", size)
        self._shard, self._shard_storage = name, shard_storage
        self._here: OpenFile | None = None

    def read(self, size: int, start: int) -> bytes:
        """See ReadableFile."""
        return super().read(size, start) if self._here is None else self._here.read(size, start)

    def bring(self) -> None:
        """See ReadableFile."""
        if self._here is None:
            self._here = self._shard_storage.bring(self._shard)
