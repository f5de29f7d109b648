"""Stores of many rows, and one measured reading of such a store: `python -m benchmarks.support.million`."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from headstart_server.data.canonical import CHUNK_ROWS
from headstart_server.data.parts import spread
from headstart_server.embedding_store.fill import SHARD_BYTES, FillProgress
from headstart_server.embedding_store.key import keys_of_chunks
from headstart_server.embedding_store.space import Space
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.encoding.matrix import embed
from headstart_server.model.ecd import PretrainedInput
from torch import Tensor

from benchmarks.support.memory import PeakMemory

OURS, DICT, NUMPY = "headstart", "dict of keys, row by row", "numpy.load"
PEERS = (OURS, DICT, NUMPY)
_WIDTH = 384
_FIT_ROWS = 1_024
"""Rows that a job fits the standardisation of its embeddings to."""


@dataclass
class Laps:
    """Seconds by what they went into."""

    seconds: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=time.perf_counter)

    def lap(self, name: str) -> None:
        """Ends a lap."""
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now


def build(folder: Path, rows: int, precision: str) -> None:
    """Writes a store, one plain file with the same matrix and its keys, and the texts in another order."""
    space = _space(precision)
    store = EmbeddingStore(folder / "store").space(space)
    rng = np.random.default_rng(0)
    matrix = np.lib.format.open_memmap(folder / "matrix.npy", "w+", space.storage, (rows, _WIDTH))
    shard_rows = SHARD_BYTES // (4 * _WIDTH)
    for start in range(0, rows, shard_rows):
        block = rng.standard_normal((min(shard_rows, rows - start), _WIDTH), np.float32)
        matrix[start : start + len(block)] = block
        store.add(keys_of_chunks([_texts(np.arange(start, start + len(block)))]), block)
    np.save(folder / "keys.npy", keys_of_chunks([_texts(np.arange(rows))]))
    order = rng.permutation(rows)
    schema = pa.schema([("text", pa.large_string())])
    with pa.ipc.new_file(str(folder / "texts.arrow"), schema) as writer:
        for start in range(0, rows, CHUNK_ROWS):
            writer.write_batch(pa.record_batch([_texts(order[start : start + CHUNK_ROWS])], schema=schema))


def read(name: str, folder: Path, precision: str) -> dict[str, float]:
    """Seconds by step, their sum, and peak memory over the size of the matrix."""
    table = pa.ipc.open_file(pa.memory_map(str(folder / "texts.arrow"))).read_all()
    chunks = table.column("text").chunks
    fitted = PretrainedInput(_WIDTH)
    peak, laps = PeakMemory(), Laps()
    matrix = {OURS: _ours, DICT: _dict, NUMPY: _numpy}[name](folder, precision, chunks, laps)
    fitted.standardise(matrix.index_select(0, torch.from_numpy(spread(np.arange(len(matrix)), _FIT_ROWS))))
    laps.lap("fit")
    return {**laps.seconds, "seconds": sum(laps.seconds.values()), "memory": peak.growth() / matrix.nbytes}


def _ours(folder: Path, precision: str, chunks: list[pa.Array], laps: Laps) -> Tensor:
    keys = keys_of_chunks(chunks)
    laps.lap("hash")
    store = EmbeddingStore(folder / "store").space(_space(precision))

    def found(progress: FillProgress) -> None:
        assert progress.found == progress.total
        laps.lap("find")

    matrix = embed(store, keys, _must_not_encode, found, folder / "scratch")
    laps.lap("gather")
    return matrix


def _dict(folder: Path, precision: str, chunks: list[pa.Array], laps: Laps) -> Tensor:
    """A dict of key bytes to row numbers, and one copy a row from the mapped file."""
    keys = keys_of_chunks(chunks)
    laps.lap("hash")
    index = {key.tobytes(): row for row, key in enumerate(np.load(folder / "keys.npy"))}
    rows = [index[key.tobytes()] for key in keys]
    laps.lap("find")
    stored = np.load(folder / "matrix.npy", mmap_mode="r")
    matrix = np.empty(stored.shape, stored.dtype)
    for position, row in enumerate(rows):
        matrix[position] = stored[row]
    laps.lap("gather")
    return torch.from_numpy(matrix)


def _numpy(folder: Path, precision: str, chunks: list[pa.Array], laps: Laps) -> Tensor:
    """The whole file in its own order: nothing is looked up."""
    matrix = torch.from_numpy(np.load(folder / "matrix.npy"))
    laps.lap("gather")
    return matrix


def _must_not_encode(rows: npt.NDArray[np.int64]) -> Iterator[NoReturn]:
    raise AssertionError(f"{len(rows)} rows are not in the store")


def _texts(numbers: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(
        [f"row {number} says what row {number * 7} left unsaid" for number in numbers.tolist()], pa.large_string()
    )


def _space(precision: str) -> Space:
    return Space(
        kind="text",
        weights="benchmark",
        preparation="benchmark",
        pooling="mean",
        max_length=256,
        precision=precision,
        dimension=_WIDTH,
    )


if __name__ == "__main__":
    print(json.dumps(read(sys.argv[1], Path(sys.argv[2]), sys.argv[3])))
