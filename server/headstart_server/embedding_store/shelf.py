"""Shelves: where the shards of one space lie. On this machine's disk alone, or in a depot, with copies here."""

from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from headstart_server.core.locks import share
from headstart_server.core.names import new_id
from headstart_server.core.pruning import mark_used
from headstart_server.embedding_store.claims import Claims, FolderClaims
from headstart_server.embedding_store.depot_claims import DepotClaims
from headstart_server.embedding_store.key import Keys
from headstart_server.embedding_store.listing import shard_names
from headstart_server.embedding_store.shard import OpenFile, Shard, write_shard
from headstart_server.storage.depot import Depot


class Shelf(Protocol):
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


class FolderShelf:
    """`{folder}/shards`, `claims/`, `quarantine/`. Any number of processes, on machines that mount the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._shards = folder, folder / "shards"
        self.claims: Claims = FolderClaims(folder / "claims")

    def names(self) -> set[str]:
        """See Shelf."""
        return shard_names(self._shards)

    def open(self, name: str) -> Shard:
        """See Shelf."""
        path = self._shards / name
        file = OpenFile(path)
        share(file.descriptor)
        return Shard.read(path, file)

    def add(self, space: str, keys: Keys, embeddings: npt.NDArray[np.floating]) -> None:
        """See Shelf."""
        write_shard(self._shards / f"{new_id()}.safetensors", space, keys, embeddings)

    def is_copy(self, name: str) -> bool:
        """See Shelf."""
        return False

    def discard(self, name: str) -> None:
        """See Shelf: moves it to quarantine."""
        folder = self._folder / "quarantine"
        with suppress(OSError):  # another process was faster, or the store is read-only: then it stays a miss
            folder.mkdir(exist_ok=True)
            mark_used((self._shards / name).rename(folder / name))


class DepotShelf:
    """A depot's `shards/`, `claims/` and `quarantine/`, with copies of the shards that were read below a folder here.

    A shard that is not here is known by its keys alone until somebody asks for an embedding of it.
    """

    def __init__(self, folder: Path, depot: Depot) -> None:
        self._shards, self._depot, self._here = folder / "shards", depot, FolderShelf(folder)
        self.claims: Claims = DepotClaims(depot.below("claims"))
        self._sizes: dict[str, int] = {}
        """Of what the depot had when it was listed."""

    def names(self) -> set[str]:
        """See Shelf. Those that are only here, from a time before the depot, count too."""
        files = self._depot.files("shards").items()
        self._sizes = {name.removeprefix("shards/"): stored.size for name, stored in files}
        return self._here.names() | self._sizes.keys()

    def open(self, name: str) -> Shard:
        """See Shelf."""
        try:
            return self._here.open(name)
        except FileNotFoundError:
            if name not in self._sizes:
                raise
            return Shard.read(self._shards / name, _BroughtFile(self._depot, name, self._sizes[name], self))

    def add(self, space: str, keys: Keys, embeddings: npt.NDArray[np.floating]) -> None:
        """See Shelf. It is here first: what cannot be published is at least not lost to this machine."""
        name = f"{new_id()}.safetensors"
        write_shard(self._shards / name, space, keys, embeddings)
        self._depot.publish(self._shards / name, f"shards/{name}")

    def is_copy(self, name: str) -> bool:
        """See Shelf: where the depot has other bytes."""
        try:
            return self._depot.read(f"shards/{name}") != (self._shards / name).read_bytes()
        except FileNotFoundError:
            return False

    def discard(self, name: str) -> None:
        """See Shelf. What is damaged in the depot, too, moves to quarantine there."""
        copy = self.is_copy(name)
        try:
            if not copy:
                self._depot.write(f"quarantine/{name}", self._depot.read(f"shards/{name}"))
                self._depot.remove(f"shards/{name}")
        except FileNotFoundError:  # it is only here, from a time before the depot; or another machine was faster
            self._here.discard(name)
        (self._shards / name).unlink(missing_ok=True)

    def bring(self, name: str) -> OpenFile:
        """A copy of a shard, open and kept from eviction; raises FileNotFoundError where the depot has it no more."""
        path = self._shards / name
        if not path.exists():
            self._depot.fetch(f"shards/{name}", path)
        file = OpenFile(path)
        share(file.descriptor)
        return file


class DistantFile:
    """A shard's file in a depot, read by ranges."""

    descriptor = -1

    def __init__(self, depot: Depot, name: str, size: int) -> None:
        self._depot, self._name, self.size = depot, name, size

    def read(self, size: int, start: int) -> bytes:
        """See ReadableFile."""
        return self._depot.read(self._name, start, max(0, min(size, self.size - start)))

    def bring(self) -> None:
        """It stays there."""


class _BroughtFile(DistantFile):
    """A shard's file that is read by ranges until it is wanted here, then from a copy."""

    def __init__(self, depot: Depot, name: str, size: int, shelf: DepotShelf) -> None:
        super().__init__(depot, f"shards/{name}", size)
        self._shard, self._shelf = name, shelf
        self._here: OpenFile | None = None

    def read(self, size: int, start: int) -> bytes:
        """See ReadableFile."""
        return super().read(size, start) if self._here is None else self._here.read(size, start)

    def bring(self) -> None:
        """See ReadableFile."""
        if self._here is None:
            self._here = self._shelf.bring(self._shard)
