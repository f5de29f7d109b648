"""Vector features: float32 of one fixed length."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headstart_server.core.reasons import Reason
from headstart_server.data.canonical import LIST_SEPARATOR, as_strings
from headstart_server.data.features.cells import Where, missing, shown, split_items
from headstart_server.spec.model import PreprocessingSpec

_AROUND = "[]() \t\r\n"
"""What may stand around the numbers of a cell: brackets and white space, but no separator of a list."""


@dataclass(frozen=True)
class VectorStatistics:
    """Length of every vector, and how its numbers are separated."""

    size: int
    separator: str | None


def fit(chunks: Iterable[tuple[int, pa.Array]], preprocessing: PreprocessingSpec, where: Where) -> VectorStatistics:
    """Takes the length of the first vector unless the spec names it; `transform` checks the others."""
    size = preprocessing.vector_size
    for start, chunk in chunks:
        # A separator alone is an empty list: no vector.
        present = ~missing(chunk) & ~pc.fill_null(pc.equal(as_strings(chunk), LIST_SEPARATOR), False).to_numpy(False)
        if present.any() and size is None:
            row = int(np.argmax(present))
            size = len(_parse(as_strings(chunk)[row].as_py(), None, start + row, preprocessing.separator, where))
        if size is not None:
            break
    if not size:
        raise where.column_error("has no vector in any training row; remove the feature", Reason.ALL_MISSING)
    return VectorStatistics(size, preprocessing.separator)


def transform(values: pa.Array, statistics: VectorStatistics, where: Where, start: int = 0) -> npt.NDArray[np.float32]:
    """Cells as float32 [n, size]; a missing cell is zeros."""
    vectors = np.zeros((len(values), statistics.size), np.float32)
    for row, text in enumerate(as_strings(values).to_pylist()):
        if text and text != LIST_SEPARATOR:
            vectors[row] = _parse(text, statistics.size, start + row, statistics.separator, where)
    return vectors


def _parse(text: str, size: int | None, row: int, separator: str | None, where: Where) -> npt.NDArray[np.float32]:
    if LIST_SEPARATOR in text and "" in text.removesuffix(LIST_SEPARATOR).split(LIST_SEPARATOR):
        raise where.error(row, f"{shown(text)} holds a missing number; fill it in, or leave the whole cell empty")
    items = split_items(text.strip(_AROUND), separator)
    try:
        with np.errstate(over="ignore"):
            vector = np.array([float(item) for item in items], np.float64).astype(np.float32)
    except ValueError:
        raise where.error(row, f"{shown(text)} is not a list of numbers; separate them by spaces or commas") from None
    if size is not None and len(vector) != size:
        raise where.error(row, f"holds {len(vector)} numbers, expected {size}; give every row {size}")
    if not np.isfinite(vector).all():
        raise where.error(row, f"{shown(text)} holds numbers that are not finite; correct them")
    return vector
