"""The index of a space: where each key's embedding lies. Rebuilt from shards; sorted arrays, no per-row Python."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from headstart_server.embedding_store.key import Keys


@dataclass
class Index:
    """Sorted by the keys' first halves; entry i lies in shard `shard[i]` at row `row[i]`."""

    first: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    second: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    shard: npt.NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    row: npt.NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))

    def __len__(self) -> int:
        return len(self.first)

    def add(self, parts: list[tuple[int, Keys]]) -> None:
        """Adds shards, given as (shard number, keys)."""
        if not parts:
            return
        first = np.concatenate([self.first, *(keys[:, 0] for _, keys in parts)])
        second = np.concatenate([self.second, *(keys[:, 1] for _, keys in parts)])
        shard = np.concatenate([self.shard, *(np.full(len(keys), number, np.int32) for number, keys in parts)])
        row = np.concatenate([self.row, *(np.arange(len(keys), dtype=np.int32) for _, keys in parts)])
        # numpy's stable sort of 64-bit numbers is a timsort, which takes what is sorted already as one run
        order = np.argsort(first, kind="stable")
        self.first, self.second, self.shard, self.row = first[order], second[order], shard[order], row[order]

    def remove(self, *numbers: int) -> None:
        """Forgets shards."""
        keep = ~np.isin(self.shard, numbers)
        self.first, self.second = self.first[keep], self.second[keep]
        self.shard, self.row = self.shard[keep], self.row[keep]

    def find(self, keys: Keys) -> npt.NDArray[np.int64]:
        """Entry of each key, or -1."""
        if len(self) == 0 or len(keys) == 0:
            return np.full(len(keys), -1, np.int64)
        order = np.argsort(keys[:, 0])  # ascending queries walk the index in memory order
        wanted = keys[order]
        entry = np.searchsorted(self.first, wanted[:, 0])
        # of a key above all others searchsorted gives the length; `_settle` finds it missing
        entry = np.minimum(entry, len(self) - 1)
        found = self._settle(entry, wanted)
        result = np.empty(len(keys), np.int64)
        result[order] = np.where(found, entry, -1)
        return result

    def _settle(self, entry: npt.NDArray[np.int64], wanted: Keys) -> npt.NDArray[np.bool_]:
        """Moves entries over neighbours that share the first half only; returns which are found."""
        while True:
            same_first = self.first[entry] == wanted[:, 0]
            found: npt.NDArray[np.bool_] = same_first & (self.second[entry] == wanted[:, 1])
            # one round as a rule: different keys all but never share the first 64 bits of their digests
            advance = same_first & ~found & (entry + 1 < len(self))
            if not advance.any():
                return found
            advance[advance] = self.first[entry[advance] + 1] == wanted[advance, 0]
            if not advance.any():
                return found
            entry[advance] += 1
