"""Text columns: read chunk by chunk, fetched by row."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_AT_ONCE = 256


def texts_of(values: pa.Array) -> Iterator[str]:
    """The texts of an array, of which few are Python's strings at a time."""
    for start in range(0, len(values), _AT_ONCE):
        yield from values.slice(start, _AT_ONCE).to_pylist()


class TextColumn:
    """The cleaned texts of one input."""

    def __init__(self, chunks: Iterable[tuple[int, pa.Array]]) -> None:
        self.chunks: list[pa.Array] = [chunk for _, chunk in chunks]
        self._starts = np.cumsum([0, *map(len, self.chunks)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __iter__(self) -> Iterator[str]:
        for chunk in self.chunks:
            yield from texts_of(chunk)

    def texts(self, rows: npt.NDArray[np.int64]) -> list[str]:
        """The texts of some rows, in their order."""
        which = np.searchsorted(self._starts, rows, side="right") - 1
        result: list[str] = [""] * len(rows)
        for chunk in np.unique(which):
            positions = np.flatnonzero(which == chunk)
            local = pa.array(rows[positions] - self._starts[chunk])
            for position, text in zip(positions.tolist(), self.chunks[chunk].take(local).to_pylist(), strict=True):
                result[position] = text
        return result
