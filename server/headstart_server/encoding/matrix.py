"""The gathered matrix of one input's stored embeddings, encoding what the store lacks."""

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from headstart_server.core.errors import TrainingFailedError
from headstart_server.core.memory import available_bytes
from headstart_server.core.reasons import Reason
from headstart_server.embedding_store.fill import Encode, Encoded, FillProgress, fill
from headstart_server.embedding_store.key import Keys
from headstart_server.embedding_store.space_store import SpaceStore

_REPORT_SECONDS = 0.25
_ATTEMPTS = 3
_MEMORY_SHARE = 0.5


def embed(
    store: SpaceStore,
    keys: Keys,
    encode: Encode,
    report: Callable[[FillProgress], None],
    scratch: Path,
) -> Tensor:
    """The embeddings of every key [n, d] in the narrowest type that holds them, encoding what is missing.

    Rows whose block turns out corrupt are encoded again. The matrix lies in memory where it takes less than half of
    what is free, otherwise in a scratch file.
    """
    matrix = None
    wanted = np.arange(len(keys))
    for _ in range(_ATTEMPTS):
        some = keys if len(wanted) == len(keys) else keys[wanted]
        fill(store, some, partial(_renumbered, encode, wanted=wanted), Throttle(report))
        # filling may have widened the store's type, where embeddings overflow it: then all are gathered again
        if matrix is None or store.dtype != matrix.dtype:
            matrix = new_matrix(len(keys), store.space.dimension, store.dtype, scratch)
            wanted = np.arange(len(keys))
            unreadable = store.gather(keys, matrix).unreadable
        else:
            part = np.empty((len(wanted), matrix.shape[1]), matrix.dtype)
            unreadable = store.gather(some, part).unreadable
            matrix[wanted] = part
        if len(unreadable) == 0:
            return torch.from_numpy(matrix)
        wanted = wanted[unreadable]
    raise TrainingFailedError(
        "stored embeddings stay unreadable; check the disk of the state directory", reason=Reason.STORE_CORRUPT
    )


def _renumbered(encode: Encode, rows: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> Iterator[Encoded]:
    """Encodes rows of a subset, given and returned by their position in it."""
    for found, embeddings in encode(wanted[rows]):
        # `wanted` ascends, so this is where each of `found` stands in it
        yield np.searchsorted(wanted, found), embeddings


class Throttle:
    """Passes progress on a few times a second, and always the first, the last and whatever may raise."""

    def __init__(self, report: Callable[[FillProgress], None]) -> None:
        self._report = report
        self._last = 0.0

    def __call__(self, progress: FillProgress) -> None:
        now = time.monotonic()
        if now - self._last >= _REPORT_SECONDS or progress.seen == progress.total:
            self._last = now
            self._report(progress)


def new_matrix(rows: int, dimension: int, dtype: npt.DTypeLike, scratch: Path) -> npt.NDArray[np.floating]:
    """Room for embeddings [rows, dimension]: in memory where less than half of it is taken, else in a file."""
    size = rows * dimension * np.dtype(dtype).itemsize
    if size <= _MEMORY_SHARE * available_bytes():
        return np.empty((rows, dimension), dtype)
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=scratch, prefix="embeddings-") as file:  # unlinked on close, kept by the map
        return np.memmap(file, dtype, "w+", shape=(rows, dimension))
