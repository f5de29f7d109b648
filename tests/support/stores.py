"""Embedding stores with a fake encoder whose every embedding can be told from its key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from headstart_server.embedding_store.key import Keys, keys_of_texts
from headstart_server.embedding_store.space import Space
from headstart_server.embedding_store.space_store import SpaceStore
from headstart_server.embedding_store.store import EmbeddingStore

DIMENSION = 8


def space_of(**changes: object) -> Space:
    """A space; fp32 unless told otherwise."""
    values: dict[str, Any] = {
        "kind": "text",
        "weights": "w",
        "preparation": "p",
        "pooling": "mean",
        "max_length": 16,
        "precision": "fp32",
        "dimension": DIMENSION,
    }
    return Space(**{**values, **changes})


def store_at(root: Path, **changes: object) -> SpaceStore:
    """A store of its own, as another process would open it."""
    return EmbeddingStore(root, threads=2).space(space_of(**changes))


def keys_of(texts: list[str]) -> Keys:
    """Keys of texts."""
    return keys_of_texts(pa.array(texts, pa.large_string()))


def embedding_of(keys: Keys, dimension: int = DIMENSION) -> npt.NDArray[np.float32]:
    """The one right embedding of each key, [n, d], exact in float16 too."""
    seeds = (keys[:, 0] % np.uint64(1021)).astype(np.int64)[:, None] + np.arange(dimension) * 7
    return ((seeds % 1021) / 1024).astype(np.float32)


def gathered(store: SpaceStore, keys: Keys) -> tuple[npt.NDArray[np.float32], list[int]]:
    """(embeddings, positions that could not be read)."""
    out = np.full((len(keys), store.space.dimension), np.nan, np.float32)
    return out, store.gather(keys, out).unreadable.tolist()


def texts_of(count: int, start: int = 0) -> list[str]:
    """Distinct texts."""
    return [f"row {number}" for number in range(start, start + count)]


def filled(root: Path, *sizes: int) -> tuple[SpaceStore, Keys]:
    """A store with shards of so many rows, and the keys of all rows."""
    store, start = store_at(root), 0
    for size in sizes:
        keys = keys_of(texts_of(size, start))
        store.add(keys, embedding_of(keys))
        start += size
    return store, keys_of(texts_of(start))


def small_shards(root: Path, count: int, **changes: object) -> list[Path]:
    """Shards of one space with one row each ("row 0", ...), the first used longest ago; nobody has them open."""
    store, paths = store_at(root, **changes), list[Path]()
    for number in range(count):
        keys = keys_of([f"row {number}"])
        store.add(keys, embedding_of(keys))
        paths += set((store.folder / "shards").iterdir()) - set(paths)
    store.close()
    for number, path in enumerate(paths):
        os.utime(path, (1_000_000 + number, 1_000_000 + number))
    return paths


def one_row_shards(root: Path, count: int, start: int = 0, **changes: object) -> Keys:
    """Shards of one row each, as so many small jobs leave them; nobody has them open. Returns the keys."""
    keys = keys_of([f"row {number}" for number in range(start, start + count)])
    for row in range(count):
        store_at(root, **changes).add(keys[row : row + 1], embedding_of(keys[row : row + 1]))
    return keys


def shards_below(root: Path) -> list[Path]:
    """Every shard of every space, sorted."""
    return sorted(root.glob("*/shards/*"))


def holds(store: SpaceStore, keys: Keys) -> bool:
    """Whether the store gives the right embedding of every key."""
    store.refresh()
    found, unreadable = gathered(store, keys)
    return unreadable == [] and np.array_equal(found, embedding_of(keys))


class FakeEncoder:
    """Encodes rows by their key, remembering every row it was asked for."""

    def __init__(self, keys: Keys, batch: int = 4) -> None:
        self.keys, self.batch = keys, batch
        self.rows: list[int] = []

    def __call__(self, rows: npt.NDArray[np.int64]) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
        backwards = rows[::-1]
        for start in range(0, len(backwards), self.batch):
            part = backwards[start : start + self.batch]
            self.rows.extend(part.tolist())
            yield part, embedding_of(self.keys[part])
