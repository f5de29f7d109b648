"""Stored embeddings that stand in for an encoder in answers: what cannot be reached is not there."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import structlog

from headstart_server.core.errors import StorageError
from headstart_server.embedding_store.key import Keys
from headstart_server.embedding_store.space_store import SpaceStore

_log = structlog.get_logger()
_AWAY_SECONDS = 5.0
"""For which nothing is looked for in a shared storage that could not be reached: to find that out may take seconds."""


class StoredRows:
    """Those of one space. Used on one thread at a time."""

    def __init__(self, store: SpaceStore) -> None:
        self._store = store
        self._away_until = 0.0

    @property
    def precision(self) -> str:
        """The arithmetic that they were computed in."""
        return self._store.space.precision

    def read(self, keys: Keys, embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Reads what is stored of some rows into `embeddings` [n, d]; returns which those are, [n]."""
        present = np.zeros(len(keys), bool)
        with self._reaching():
            if time.monotonic() >= self._away_until:
                unreadable = self._store.gather(keys, embeddings).unreadable
                present[:] = True
                present[unreadable] = False
        return present

    def refresh(self) -> None:
        """Reads which rows are stored by now; those that were known stay where that cannot be told."""
        with self._reaching():
            self._store.refresh()

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Takes note of a storage that is away, which is no reason to answer nobody: the encoder reads what it has."""
        try:
            yield
        except StorageError as error:
            _log.warning("stored embeddings cannot be reached", space=self._store.space.identifier, error=error.message)
            self._away_until = time.monotonic() + _AWAY_SECONDS
