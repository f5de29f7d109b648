"""The first look at an image column: the key of every file, and which files are no usable images."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from headstart_server.data.images.column import ImageColumn
from headstart_server.data.images.decode import BadImageError, inspect

_THREADS = 8
_BLOCK_ROWS = 256
_FEW = 16
_KEY_BYTES = 16
_NOTHING = np.frombuffer(blake2b(b"", digest_size=_KEY_BYTES).digest(), np.uint64)
"""Key of the default image, which stands in where there is none: that of no bytes, which are never an image."""


@dataclass
class ScannedImages:
    """An image column with the 128-bit BLAKE2b of each file, uint64 [rows, 2]."""

    column: ImageColumn
    keys: npt.NDArray[np.uint64]
    """Those of the default image for rows that it stands in for, and for rows that were not looked at."""
    bad: dict[int, str] = field(default_factory=dict)
    """What is wrong with unusable rows that nothing has been decided about."""

    def read(self, row: int) -> bytes | None:
        """The file's bytes, or None for the default image; raises BadImageError, also where they are new bytes."""
        key = self.keys[row]
        if (key == _NOTHING).all():
            return None
        data = self.column.read(row)
        if data is None or _key(data) != key.tobytes():
            raise BadImageError("the file has changed since the job began; start the job again")
        return data

    def use_default(self, row: int) -> None:
        """Lets the default image stand in for a row."""
        self.keys[row] = _NOTHING

    def spread_bad(self) -> None:
        """Notes what is wrong with a file for every row that holds the same one."""
        reasons = {self.keys[row].tobytes(): reason for row, reason in self.bad.items()}
        # Half of each key picks candidates out quickly; below, the whole key decides.
        like = np.isin(self.keys[:, 0], self.keys[list(self.bad), 0])
        for row in np.flatnonzero(like).tolist():
            if reason := reasons.get(self.keys[row].tobytes()):
                self.bad[row] = reason


def scan(column: ImageColumn, rows: npt.NDArray[np.int64]) -> ScannedImages:
    """Reads the files of some rows once: their keys, and from their headers whether they are images within limits.

    Missing cells take the default image. What is damaged behind its header is found when it is decoded.
    """
    found = ScannedImages(column, np.tile(_NOTHING, (len(column), 1)))
    with ThreadPoolExecutor(_THREADS, "scan") as pool:
        # Reading and hashing release Python's lock, so that threads help.
        run = pool.map if len(rows) > _FEW else map
        for block, (keys, bad) in zip(_blocks(rows), run(partial(_look, column), _blocks(rows)), strict=True):
            found.keys[block] = keys
            found.bad |= bad
    return found


def _blocks(rows: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, len(rows), _BLOCK_ROWS):
        yield rows[start : start + _BLOCK_ROWS]


def _look(column: ImageColumn, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint64], dict[int, str]]:
    """The keys of some rows' files, the default image's for missing cells, and what is wrong with which."""
    bad: dict[int, str] = {}
    keys = np.tile(_NOTHING, (len(rows), 1))
    for place, row in enumerate(rows.tolist()):
        try:
            if (data := column.read(row)) is not None:
                inspect(data, column.limits)
                keys[place] = np.frombuffer(_key(data), np.uint64)
        except BadImageError as error:
            bad[row] = str(error)
    return keys, bad


def _key(data: bytes) -> bytes:
    return blake2b(data, digest_size=_KEY_BYTES).digest()
