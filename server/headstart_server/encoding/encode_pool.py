"""The embedding pass in many processes: what the driver gives out, and what comes back.

Every process reads the rows it is given by itself, encodes them and publishes them to the shared store. What travels is
row numbers on the way out and counts on the way back, never rows or embeddings.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.embedding_store.fill import Encoded
from headstart_server.embedding_store.key import Keys

LEAST_ROWS, MOST_ROWS = 64, 16_384
"""Rows of one piece of work."""
PIECES = 8
"""Pieces for each process: enough that none of them waits long for the slowest."""


@dataclass(frozen=True)
class EncodeTask:
    """One pass: which input, and which of its stored views; `served` is of test rows, as Predict reads them."""

    feature: FittedFeature
    view: int | None = None
    keys: Keys | None = None
    """Of an image input's files, by row."""
    served: bool = False


@dataclass(frozen=True)
class EncodeResult:
    """A piece of work that is in the store."""

    rows: npt.NDArray[np.int64]
    worker: str
    """Which process did it."""
    seconds: float
    waited: float
    """Part of them in which the encoder waited for images."""
    bad: dict[int, str] = field(default_factory=dict)
    """Rows whose image turned out to be unusable."""


class EncodePool(Protocol):
    """Processes that encode and publish."""

    def work(self, task: EncodeTask, rows: npt.NDArray[np.int64], check: Callable[[], None]) -> Iterator[EncodeResult]:
        """Has rows encoded and published; yields each result as it comes, in any order.

        Calls `check`, which may raise to stop it, once in a while.
        """


def pieces(rows: npt.NDArray[np.int64], processes: int) -> list[npt.NDArray[np.int64]]:
    """Rows in pieces, of which every process gets several."""
    size = min(max(LEAST_ROWS, len(rows) // (PIECES * processes)), MOST_ROWS)
    return [rows[start : start + size] for start in range(0, len(rows), size)]


@dataclass
class _Tally:
    """What one process did."""

    rows: int = 0
    seconds: float = 0.0
    waited: float = 0.0

    def report(self) -> dict[str, float]:
        speed = self.rows / self.seconds if self.seconds else 0.0
        return {"rows": self.rows, "rows_per_second": speed, "data_wait_seconds": self.waited}


class PoolEncode:
    """An encoder for `fill` that leaves the work to an encode pool. Rows found unusable are noted in `bad`."""

    def __init__(
        self, encode_pool: EncodePool, task: EncodeTask, check: Callable[[], None], bad: dict[int, str]
    ) -> None:
        self._encode_pool, self._task, self._check, self._bad = encode_pool, task, check, bad
        self._tallies: dict[str, _Tally] = {}

    def __call__(self, rows: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        """Yields rows that are published."""
        for result in self._encode_pool.work(self._task, rows, self._check):
            tally = self._tallies.setdefault(result.worker, _Tally())
            tally.rows += len(result.rows)
            tally.seconds += result.seconds
            tally.waited += result.waited
            self._bad.update(result.bad)
            yield result.rows, None

    @property
    def workers(self) -> tuple[dict[str, float], ...]:
        """What each process did."""
        return tuple(tally.report() for _, tally in sorted(self._tallies.items()))

    @property
    def waited(self) -> float:
        """Seconds in which an encoder waited for images: the mean of all processes."""
        return sum(tally.waited for tally in self._tallies.values()) / max(1, len(self._tallies))
