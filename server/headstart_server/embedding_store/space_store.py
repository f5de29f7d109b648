"""One space of the store: look-up, verified reads, quarantine. Any number of readers and writers, no lock."""

import itertools
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headstart_server.core.errors import StoreFullError
from headstart_server.core.pruning import mark_used
from headstart_server.embedding_store.index import Index
from headstart_server.embedding_store.key import Keys
from headstart_server.embedding_store.shard import CorruptShardError, Shard
from headstart_server.embedding_store.shard_storage import ShardStorage
from headstart_server.embedding_store.space import Space


@dataclass(frozen=True)
class Gathered:
    """What a gather found unreadable."""

    unreadable: npt.NDArray[np.int64]
    """Positions of the request whose embedding is missing or corrupt; their rows of the result are undefined."""


class SpaceStore:
    """Embeddings of one space, as of the last `refresh`. Safe to use from several threads."""

    def __init__(self, space: Space, folder: Path, threads: int, shard_storage: ShardStorage) -> None:
        self.space = space
        self.folder = folder
        self._shard_storage = shard_storage
        self.claims = shard_storage.claims
        self.quarantined = 0
        self.last_use = time.monotonic()
        self._numbers = itertools.count()  # none is used again: a gather may still name a shard that was forgotten
        self._closed = False
        self._shards: dict[int, Shard] = {}
        self._names: dict[str, int] = {}
        self._index = Index()
        self._looked_up: tuple[weakref.ref[Keys], npt.NDArray[np.int64]] | None = None
        """The keys that `contains` was asked about last, with their entries in the index as it is; for as long as
        somebody has the keys."""
        self._lock = threading.RLock()  # reentrant: who holds it may refresh
        self._threads = threads

    def refresh(self) -> None:
        """Reads the keys of shards that appeared since, and forgets those that went."""
        with self._lock:
            self._closed = False
            self.last_use = time.monotonic()
            # each name is tried once: one that stays listed and cannot be opened would be tried for ever
            tried: set[str] = set()
            while not self._follow(self._shard_storage.names(), tried):
                continue  # a shard went between the listing and its opening: perhaps into a merged one

    def _follow(self, names: set[str], tried: set[str]) -> bool:
        """Opens shards that are new and forgets those that went or were merged; returns whether all could be opened."""
        merged = {part for shard in self._shards.values() for part in shard.parts}
        new = sorted(names - self._names.keys() - tried, reverse=True)  # a merged shard comes before its parts
        tried.update(new)
        opened, complete = [], True
        for name in new:
            if name in merged:
                continue
            found = self._open(name)
            if found is None:
                complete = False
                continue
            opened.append(found)
            merged |= self._shards[found[0]].parts
        if opened:
            self._index.add(opened)
            self._looked_up = None
        self._forget(*(number for name, number in self._names.items() if name in merged or name not in names))
        return complete

    def __len__(self) -> int:
        return len(self._index)

    def contains(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Which keys are in the store, as of the last refresh."""
        with self._lock:
            self._reopen()
            entries = self._index.find(keys)
            # who asks about many keys gathers them next, and finding them takes half as long as reading them
            self._looked_up = weakref.ref(keys, self._forget_lookup), entries
            found: npt.NDArray[np.bool_] = entries >= 0
            return found

    def _forget_lookup(self, keys: "weakref.ref[Keys]") -> None:
        known = self._looked_up
        if known is not None and known[0] is keys:
            self._looked_up = None

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """The narrowest type that holds every embedding here without loss: of shards that overflowed, float32."""
        with self._lock:
            return np.result_type(self.space.storage, *(shard.dtype for shard in self._shards.values()))

    def add(self, keys: Keys, embeddings: npt.NDArray[np.floating]) -> None:
        """Publishes distinct keys with float32 [n, d] embeddings as one shard."""
        with np.errstate(over="ignore"):  # what float16 cannot hold becomes infinite, which is looked for next
            stored = embeddings.astype(self.space.storage)
        if not np.isfinite(stored).all():
            stored = embeddings.astype(np.float32)
            if not np.isfinite(stored).all():
                raise ValueError("embeddings are not finite")
        self._shard_storage.add(self.space.identifier, keys, stored)
        self.refresh()

    def gather(self, keys: Keys, out: npt.NDArray[np.floating]) -> Gathered:
        """Reads the embeddings of `keys` into `out` [n, d], casting to its dtype; every block read is verified."""
        with self._lock:
            self._reopen()
            known, self._looked_up = self._looked_up, None
            entries = known[1] if known is not None and known[0]() is keys else self._index.find(keys)
            found = np.flatnonzero(entries >= 0)
            if not len(found):
                return Gathered(np.arange(len(keys)))
            shard, row = self._index.shard[entries[found]], self._index.row[entries[found]]
            # read without the lock: the copy keeps the files open, whoever forgets or closes them meanwhile
            shards = dict(self._shards)
        bad = [np.flatnonzero(entries < 0)]
        damaged: set[int] = set()
        gone: set[int] = set()
        for number in np.unique(shard):
            mine = shard == number
            try:
                unread = self._gather_shard(shards[int(number)], row[mine], found[mine], out)
            except FileNotFoundError:
                bad.append(found[mine])
                gone.add(int(number))
                continue
            if len(unread):
                bad.append(unread)
                damaged.add(int(number))
        with self._lock:
            # another thread may have forgotten some of them already
            self._forget(*(gone & self._shards.keys()))
        for number in damaged:
            self._salvage(number)
        return Gathered(np.sort(np.concatenate(bad)))

    def close(self) -> None:
        """Closes every shard; the next use opens them again."""
        with self._lock:
            self._closed = True
            self._forget(*self._shards)

    def _gather_shard(
        self, shard: Shard, rows: npt.NDArray[np.int32], positions: npt.NDArray[np.int64], out: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.int64]:
        """Reads block by block, each once, on several threads; returns positions that could not be read.

        Raises FileNotFoundError where the shard has gone.
        """
        shard.file.bring()
        order = np.argsort(rows, kind="stable")
        rows, positions = rows[order], positions[order]
        blocks = rows // shard.block_rows
        starts = np.flatnonzero(np.r_[True, blocks[1:] != blocks[:-1]])
        ends = np.r_[starts[1:], len(rows)]

        def read(start: int, end: int) -> npt.NDArray[np.int64] | None:
            index = int(blocks[start])
            block = shard.block(index)
            if block is None:
                return positions[start:end]
            out[positions[start:end]] = _rows_of(block, rows[start:end] - index * shard.block_rows)
            return None

        if len(starts) == 1:
            unread = [read(int(starts[0]), int(ends[0]))]
        else:
            # threads gain here: os.pread and zlib.crc32 release Python's lock
            with ThreadPoolExecutor(self._threads) as pool:
                unread = list(pool.map(read, starts.tolist(), ends.tolist()))
        mark_used(shard.path)
        return np.concatenate([np.empty(0, np.int64), *(part for part in unread if part is not None)])

    def _reopen(self) -> None:
        self.last_use = time.monotonic()
        if self._closed:
            self.refresh()

    def _open(self, name: str) -> tuple[int, Keys] | None:
        """Opens a shard; returns its new number and its keys. A corrupt one is quarantined."""
        try:
            shard = self._shard_storage.open(name)
            if (shard.space, shard.dimension) != (self.space.identifier, self.space.dimension):
                raise CorruptShardError(f"{name}: belongs to another space")
            keys = shard.keys()
        except FileNotFoundError:  # evicted between the listing and now
            return None
        except CorruptShardError:
            self._quarantine(name)
            return None
        number = next(self._numbers)
        self._shards[number], self._names[name] = shard, number
        return number, keys

    def _forget(self, *numbers: int) -> None:
        """Drops shards; their files close when the last gather that reads them is done."""
        if numbers:
            self._index.remove(*numbers)
            self._looked_up = None
        for number in numbers:
            shard = self._shards.pop(number)
            self._names.pop(shard.path.name, None)

    def _salvage(self, number: int) -> None:
        """Publishes the sound blocks of a damaged shard again and moves it to quarantine; of a copy, has it anew."""
        with self._lock:
            shard = self._shards.get(number)
            if shard is None:  # another thread was faster
                return
            if not self._shard_storage.is_copy(shard.path.name):
                # before the quarantine: a crash in between leaves sound rows twice, which harms nobody
                with suppress(CorruptShardError, StoreFullError):
                    self._publish_sound_blocks(shard)
            self._quarantine(shard.path.name)
            self._forget(number)
            self.refresh()

    def _publish_sound_blocks(self, shard: Shard) -> None:
        keys = shard.keys()
        blocks = [(index * shard.block_rows, shard.block(index)) for index in range(len(shard.checksums))]
        kept = [(keys[start : start + len(block)], block) for start, block in blocks if block is not None]
        if kept:
            sound_keys, sound = (np.concatenate(part) for part in zip(*kept, strict=True))
            self._shard_storage.add(self.space.identifier, sound_keys, sound)

    def _quarantine(self, name: str) -> None:
        self.quarantined += 1
        self._shard_storage.discard(name)


def _rows_of(block: npt.NDArray[np.floating], rows: npt.NDArray[np.int32]) -> npt.NDArray[np.floating]:
    """Ascending rows of a block: a view where no row between the first and the last is left out or repeated."""
    first = int(rows[0])
    if len(rows) == int(rows[-1]) - first + 1 and (np.diff(rows) == 1).all():
        return block[first : first + len(rows)]
    return block[rows]
