"""One column on the wire to an Arrow array, with every mistake named by column and row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from headstart.v1 import table_pb2

from headstart_server.core.errors import BadCellError, Violation, invalid
from headstart_server.core.reasons import Reason
from headstart_server.data.canonical import text_of
from headstart_server.data.features.cells import BadCells

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Cells:
    """The cells of one column, of which some may be refused."""

    path: str
    column: str
    bad: BadCells | None

    def refuse(self, row: int, message: str) -> None:
        """Notes what is wrong with a cell; raises BadCellError where nobody takes note."""
        error = BadCellError(Violation(self.path, f"{self.column!r}, row {row + 1}: {message}"), reason=Reason.BAD_CELL)
        if self.bad is None:
            raise error
        self.bad.setdefault(row, error)


def row_count(column: table_pb2.Column) -> int:
    """How many rows a column holds, as far as it can be told."""
    match column.WhichOneof("values"):
        case None:
            return 0
        case "string_lists":
            return len(column.string_lists.rows)
        case "vectors":
            return len(column.vectors.values) // max(1, column.vectors.width)
        case kind:
            return len(getattr(column, kind).values)


def array_of(column: table_pb2.Column, path: str, bad: BadCells | None = None) -> pa.Array:
    """The values of a column, nulls for missing cells.

    Args:
        column: As it was sent.
        path: Where it lies in the request.
        bad: Takes what is wrong with a cell, which is then null; without it the first such cell is an error.

    Raises:
        InvalidInputError: It is no column, or, without `bad`, holds cells that are refused.
    """
    kind = column.WhichOneof("values")
    if kind is None:
        raise invalid(
            path,
            f"{column.name!r} holds no values; set strings, doubles, bools, bytes, int64s, floats, string_lists or "
            "vectors",
        )
    if kind == "vectors":
        _require_width(column, path)
    missing = _missing(column, path)
    return _ARRAYS[kind](column, missing, _Cells(path, column.name, bad))


def _require_width(column: table_pb2.Column, path: str) -> None:
    width, count = column.vectors.width, len(column.vectors.values)
    if width < 0 or (count and width == 0):
        raise invalid(f"{path}.vectors.width", f"{column.name!r} has width {width}; give the length of each vector")
    if count and count % width:
        raise invalid(
            f"{path}.vectors",
            f"{column.name!r} holds {count} numbers, which are no whole vectors of {width}; send {width} for each row",
        )


def _missing(column: table_pb2.Column, path: str) -> Flags:
    """Which rows are flagged as missing."""
    rows, flags = row_count(column), len(column.nulls)
    if flags and flags != rows:
        raise invalid(f"{path}.nulls", f"{column.name!r} has {flags} flags for {rows} values; send none or one per row")
    return np.array(column.nulls, bool) if flags else np.zeros(rows, bool)


def _as_they_are(kind: str, arrow: pa.DataType) -> Callable[[table_pb2.Column, Flags, _Cells], pa.Array]:
    """Values of which none is refused."""

    def array(column: table_pb2.Column, missing: Flags, cells: _Cells) -> pa.Array:
        values: Sequence[object] = list(getattr(column, kind).values)
        if missing.any():
            values = [None if flag else value for value, flag in zip(values, missing.tolist(), strict=True)]
        return pa.array(values, arrow)

    return array


def _numbers(kind: str, dtype: type[np.floating]) -> Callable[[table_pb2.Column, Flags, _Cells], pa.Array]:
    """Numbers, of which infinities are refused."""

    def array(column: table_pb2.Column, missing: Flags, cells: _Cells) -> pa.Array:
        given = getattr(column, kind).values
        values = np.fromiter(given, dtype, len(given))
        for row in np.flatnonzero(np.isinf(values) & ~missing).tolist():
            cells.refuse(row, f"{values[row]} is not finite; send a finite number or a null")
            missing[row] = True
        return pa.array(values, mask=missing)

    return array


def _lists(column: table_pb2.Column, missing: Flags, cells: _Cells) -> pa.Array:
    """Lists of texts, as the one text that stands for a list in every format."""
    texts: list[str | None] = []
    for row, items in enumerate(column.string_lists.rows):
        text = None
        if not missing[row]:
            try:
                text = text_of(list(items.values))
            except ValueError as error:
                cells.refuse(row, str(error))
        texts.append(text)
    return pa.array(texts, pa.large_string())


def _vectors(column: table_pb2.Column, missing: Flags, cells: _Cells) -> pa.Array:
    """Vectors of one length: one with a NaN is missing, infinities are refused."""
    width, given = max(1, column.vectors.width), column.vectors.values
    values = np.fromiter(given, np.float32, len(given)).reshape(-1, width)
    finite = np.isfinite(values).all(1)
    if not finite.all():
        missing |= np.isnan(values).any(1)
        for row in np.flatnonzero(~finite & ~missing).tolist():
            place = int(np.argmax(np.isinf(values[row])))
            cells.refuse(row, f"{values[row, place]}, number {place + 1} of the vector, is not finite; correct it")
            missing[row] = True
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), width, mask=pa.array(missing))


_ARRAYS: dict[str, Callable[[table_pb2.Column, Flags, _Cells], pa.Array]] = {
    "strings": _as_they_are("strings", pa.large_string()),
    "bools": _as_they_are("bools", pa.bool_()),
    "bytes": _as_they_are("bytes", pa.large_binary()),
    "int64s": _as_they_are("int64s", pa.int64()),
    "doubles": _numbers("doubles", np.float64),
    "floats": _numbers("floats", np.float32),
    "string_lists": _lists,
    "vectors": _vectors,
}
