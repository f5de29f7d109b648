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

_NOT_FINITE = "holds numbers that are not finite; correct them"


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
    if pa.types.is_fixed_size_list(values.type):
        return _of_lists(values, statistics.size, where, start)
    vectors = np.zeros((len(values), statistics.size), np.float32)
    for row, text in enumerate(as_strings(values).to_pylist()):
        if text and text != LIST_SEPARATOR:
            vectors[row] = _parse(text, statistics.size, start + row, statistics.separator, where)
    return vectors


def _of_lists(values: pa.Array, size: int, where: Where, start: int) -> npt.NDArray[np.float32]:
    """Cells that are lists of float32 numbers already, all of one length."""
    given, present = values.type.list_size, np.flatnonzero(~missing(values))
    vectors = np.zeros((len(values), size), np.float32)
    if len(present) and given != size:
        raise where.error(start + int(present[0]), _wrong_length(given, size))
    found = values.drop_null().flatten().to_numpy(zero_copy_only=False).reshape(-1, given)
    unusable = ~np.isfinite(found).all(1)
    if unusable.any():
        row = int(np.argmax(unusable))
        raise where.error(start + int(present[row]), f"{found[row].tolist()!s:.80} {_NOT_FINITE}")
    vectors[present] = found
    return vectors


def _wrong_length(given: int, expected: int) -> str:
    return f"holds {given} numbers, expected {expected}; give every row {expected}"


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
        raise where.error(row, _wrong_length(len(vector), size))
    if not np.isfinite(vector).all():
        raise where.error(row, f"{shown(text)} {_NOT_FINITE}")
    return vector
