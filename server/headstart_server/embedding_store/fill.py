"""The embedding pass: encodes the rows that the store lacks, each distinct row once, and publishes as it goes."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from headstart_server.embedding_store.key import Keys, distinct
from headstart_server.embedding_store.space_store import SpaceStore

Encoded = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32] | None]
"""(row numbers, their embeddings float32 [n, d]); None: whoever encoded them has published them already."""
Encode = Callable[[npt.NDArray[np.int64]], Iterator[Encoded]]
"""Encodes rows given by number; yields them batch by batch, in any order."""

SHARD_BYTES = 64 << 20
SHARD_SECONDS = 20.0  # what a killed process loses at most, beside the batch that it was at
WINDOW_ROWS = 65_536


@dataclass(frozen=True)
class FillProgress:
    """Counts of one pass. Every row is found, repeated, encoded here or shared (encoded by another job meanwhile)."""

    total: int
    seen: int = 0
    found: int = 0
    repeated: int = 0
    encoded: int = 0
    shared: int = 0
    seconds: float = 0.0
    """Time spent encoding."""
    waited: float = 0.0
    """Part of it in which the encoder waited for its data."""
    workers: tuple[dict[str, int | float], ...] = ()
    """What each of several processes did: `rows`, `rows_per_second`, `data_wait_seconds`."""
    test: bool = False
    """Whether these are test rows that are read once more, as Predict reads them."""

    @property
    def rows_per_second(self) -> float:
        """Encoder speed."""
        return self.encoded / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta_seconds(self) -> float:
        """Time left at this speed."""
        return (self.total - self.seen) / self.rows_per_second if self.rows_per_second else 0.0


def survey(store: SpaceStore, keys: Keys) -> tuple[FillProgress, npt.NDArray[np.int64]]:
    """What the store has of `keys`; returns counts and the rows to encode, one per distinct missing key."""
    store.refresh()
    absent = np.flatnonzero(~store.contains(keys))
    missing = np.sort(absent[distinct(keys[absent])])
    found, repeated = len(keys) - len(absent), len(absent) - len(missing)
    return FillProgress(len(keys), seen=found + repeated, found=found, repeated=repeated), missing


def fill(
    store: SpaceStore,
    keys: Keys,
    encode: Encode,
    report: Callable[[FillProgress], None],
    window_rows: int = WINDOW_ROWS,
) -> FillProgress:
    """Makes the store hold every key. `report` is called whenever counts have changed and may raise to stop the pass.

    `encode` gets at most `window_rows` at a time. What was published before an interruption stays. Rows that another
    process is encoding are waited for; if that process dies, they are encoded here.
    """
    progress, missing = survey(store, keys)
    report(progress)
    while len(missing):
        with store.claims.claim(keys[missing]) as mine:
            # looked up again once claimed: whoever had claimed them may have published them since the survey
            store.refresh()
            fresh = ~store.contains(keys[missing])
            if not fresh.all():
                progress = _count_shared(progress, missing[~fresh])
                report(progress)
            for start in range(0, int((mine & fresh).sum()), window_rows):
                window = missing[mine & fresh][start : start + window_rows]
                progress = _encode_window(store, keys, window, encode, progress, report)
        # others have claimed these: they are published soon, or their claim ends and the next round claims them here
        waiting = missing[fresh & ~mine]
        if len(waiting):
            time.sleep(store.claims.poll_seconds)
            store.refresh()
            here = store.contains(keys[waiting])
            progress = _count_shared(progress, waiting[here])
            waiting = waiting[~here]
            report(progress)
        missing = waiting
    return progress


def _count_shared(progress: FillProgress, rows: npt.NDArray[np.int64]) -> FillProgress:
    return replace(progress, shared=progress.shared + len(rows), seen=progress.seen + len(rows))


def _encode_window(
    store: SpaceStore,
    keys: Keys,
    rows: npt.NDArray[np.int64],
    encode: Encode,
    progress: FillProgress,
    report: Callable[[FillProgress], None],
) -> FillProgress:
    pending: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]] = []
    published = started = time.monotonic()
    size = 0
    try:
        for batch, embeddings in encode(rows):
            if embeddings is not None:
                pending.append((batch, embeddings))
                size += embeddings.nbytes
            now = time.monotonic()
            progress = replace(
                progress,
                encoded=progress.encoded + len(batch),
                seen=progress.seen + len(batch),
                seconds=progress.seconds + now - started,
            )
            started = now
            report(progress)
            if size >= SHARD_BYTES or now - published >= SHARD_SECONDS:
                _publish(store, keys, pending)
                pending, size, published = [], 0, time.monotonic()
    finally:
        # after an error or a cancellation, too: what is encoded need not be encoded again
        _publish(store, keys, pending)
    return progress


def _publish(
    store: SpaceStore, keys: Keys, pending: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]
) -> None:
    if not pending:
        return
    rows = np.concatenate([batch for batch, _ in pending])
    embeddings = np.concatenate([part for _, part in pending])
    order = np.argsort(rows)  # in the data's order, so that the next gather reads forward
    store.add(keys[rows[order]], embeddings[order])
