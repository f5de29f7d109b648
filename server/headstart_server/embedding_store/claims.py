"""Claims: which keys some process is encoding right now, so that no two encode the same row.

A claim is a file of keys whose writer holds a lock on it (flock) for as long as it lives: a killed process releases
its claim by dying. Where a file system has no locks, claims never look alive and rows may be encoded twice, which
costs time but is never wrong.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from headstart_server.core.files import disk_full_named
from headstart_server.core.locks import Lock, try_exclusive, wait_exclusive
from headstart_server.embedding_store.key import Keys, pack, unpack


class Claims(Protocol):
    """The claims on one space."""

    poll_seconds: float
    """How often to look whether what others have claimed is done."""

    def living(self) -> int:
        """How many keys are claimed right now."""

    def claim(self, keys: Keys) -> AbstractContextManager[npt.NDArray[np.bool_]]:
        """Claims those of `keys` that nobody else has; the context is a mask of them. Released on exit."""


class FolderClaims:
    """The claims on one space, in a folder of its own."""

    poll_seconds = 0.2

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def living(self) -> int:
        """How many keys are claimed right now."""
        if not self._folder.is_dir():
            return 0
        with self._mutex():  # between the making of a claim's file and its lock it would look dead
            return len(self._claimed())

    @contextmanager
    def claim(self, keys: Keys) -> Iterator[npt.NDArray[np.bool_]]:
        """Claims those of `keys` that nobody else has; yields a mask of them. Released on exit."""
        self._folder.mkdir(parents=True, exist_ok=True)  # each time: the space may have been deleted meanwhile
        path = self._folder / f"{secrets.token_hex(8)}.claim"
        descriptor = -1
        try:
            # looking and claiming are one step: of two who want a key at once, the second sees the first's file
            with self._mutex(), disk_full_named(self._folder):
                mine = ~contained(keys, self._claimed())
                if mine.any():
                    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
                    wait_exclusive(descriptor)
                    _write_all(descriptor, pack(keys[mine]).tobytes())
            yield mine
        finally:
            path.unlink(missing_ok=True)
            if descriptor >= 0:
                os.close(descriptor)

    def _claimed(self) -> Keys:
        """Keys of all living claims; dead ones are removed."""
        living = [np.empty((0, 2), np.uint64)]
        for path in self._folder.glob("*.claim"):
            try:
                descriptor = os.open(path, os.O_RDWR)
            except FileNotFoundError:  # released since the folder was listed
                continue
            with os.fdopen(descriptor, "rb") as file:  # read through it: the claim may be released at any moment
                if try_exclusive(descriptor) is Lock.TAKEN:
                    living.append(unpack(np.frombuffer(file.read(), np.uint8)))
                else:
                    # MINE: nobody holds it any more; UNKNOWN: without locks no claim counts
                    path.unlink(missing_ok=True)
        return np.concatenate(living)

    @contextmanager
    def _mutex(self) -> Iterator[None]:
        # never unlinked: two processes could then each lock a file of that name
        descriptor = os.open(self._folder / "mutex", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            wait_exclusive(descriptor)
            yield
        finally:
            os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    # os.write may take less than it was given
    while view:
        view = view[os.write(descriptor, view) :]


def contained(keys: Keys, others: Keys) -> npt.NDArray[np.bool_]:
    """Which of `keys` are among others."""
    if len(others) == 0 or len(keys) == 0:
        return np.zeros(len(keys), bool)
    return np.isin(_comparable(keys), _comparable(others))


def _comparable(keys: Keys) -> np.ndarray[tuple[int], np.dtype[np.bytes_]]:
    """Keys as byte strings: all 16 long, so that numpy's stripping of trailing zeros loses nothing."""
    return np.ascontiguousarray(keys).view("S16").ravel()
