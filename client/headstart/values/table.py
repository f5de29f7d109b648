"""Build a Table from whatever callers hold: columns, rows, a DataFrame or an Arrow table, none of them imported."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from headstart.errors import InvalidArgument, Violation
from headstart.v1.table_pb2 import Column, Table
from headstart.values.column import NO_TEXT, column_of, shortest_float32

Rows: TypeAlias = Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]] | Table | Any
"""Columns (name to values), rows (dicts), a Table, or anything with `to_dict("list")` or `to_pydict()`.

Images are bytes or paths. A `pathlib.Path` is always a file; a text is one where the column is known to be an image's.
"""


def table_of(rows: Rows) -> Table:
    """Return the rows as a Table.

    Raises:
        InvalidArgument: columns of different lengths, names that are not text, or values that cannot be sent. Columns
            of a DataFrame whose values have no textual form are left out, with a warning: no feature may read them.
        TypeError: not a table at all.
    """
    if isinstance(rows, Table):
        return rows
    columns = columns_of(rows)
    for name in columns:
        if not isinstance(name, str) or not name:
            raise InvalidArgument(f"column name {name!r} is not a text; rename the column", reason="BAD_COLUMN_NAME")
    _refuse_uneven(columns)
    sent = [_sent(name, values, lenient=isinstance(columns, FrameColumns)) for name, values in columns.items()]
    return Table(columns=[column for column in sent if column is not None])


class FrameColumns(dict[str, list[Any]]):
    """Columns of a DataFrame or an Arrow table, which may hold some that no feature reads."""


def _sent(name: str, values: Sequence[Any], *, lenient: bool) -> Column | None:
    """Return the column; None, with a warning, for one of a frame whose values have no textual form."""
    try:
        return column_of(name, values)
    except InvalidArgument as error:
        if not lenient or error.reason != NO_TEXT:
            raise
        warnings.warn(f"left out: {error.message}", stacklevel=2)
        return None


def row_count(table: Table) -> int | None:
    """Return the number of rows; None where only the server can tell (Arrow bytes)."""
    if table.arrow_ipc:
        return None
    return len(cells_of(table.columns[0])) if table.columns else 0


def cells_of(column: Column) -> Sequence[Any]:
    """Return the values of a column as they were sent, those of missing cells included."""
    match column.WhichOneof("values"):
        case "string_lists":
            return [list(row.values) for row in column.string_lists.rows]
        case "vectors":
            flat, width = list(column.vectors.values), max(1, column.vectors.width)
            return [flat[start : start + width] for start in range(0, len(flat), width)]
        case kind:
            values: Sequence[Any] = getattr(column, kind or "strings").values
            return values


def columns_of(rows: Any) -> dict[str, list[Any]]:
    """Return the values of each column; raises TypeError for what is no table."""
    if isinstance(rows, FrameColumns):
        return rows
    if isinstance(rows, Mapping):
        return {name: _listed(name, values) for name, values in rows.items()}
    if hasattr(rows, "columns") and hasattr(rows, "to_dict"):
        return FrameColumns(_with_shortest_floats(_cells_of(rows), rows))
    if hasattr(rows, "to_pydict"):
        return FrameColumns(rows.to_pydict())
    if isinstance(rows, str | bytes) or not isinstance(rows, Iterable):
        raise TypeError(f"expected columns, rows or a DataFrame, got {type(rows).__name__}")
    return _transposed(list(rows))


def _cells_of(frame: Any) -> dict[str, list[Any]]:
    """Return the cells of a DataFrame: pandas asks how, polars whether they shall be its own columns."""
    if hasattr(frame, "iter_columns"):
        return dict(frame.to_dict(as_series=False))
    return dict(frame.to_dict("list"))


def _with_shortest_floats(columns: dict[str, list[Any]], frame: Any) -> dict[str, list[Any]]:
    """Return columns with float32 as its own shortest text says: 0.1, which as a double is 0.10000000149011612."""
    kinds: Any = frame.schema if hasattr(frame, "iter_columns") else getattr(frame, "dtypes", None)
    for name, kind in kinds.items() if hasattr(kinds, "items") else ():
        if str(kind).lower() == "float32":
            columns[name] = [shortest_float32(cell) if isinstance(cell, float) else cell for cell in columns[name]]
    return columns


def _listed(name: str, values: Any) -> list[Any]:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        message = f"column {name!r} holds {type(values).__name__}; give a list with one value per row"
        raise InvalidArgument(message, reason="BAD_COLUMN", violations=[Violation(str(name), "not a list of values")])
    return list(values)


def _transposed(rows: Sequence[Any]) -> dict[str, list[Any]]:
    """Return rows as columns, in the order in which the names first appear; what a row lacks is missing."""
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise TypeError(f"row {number} is {type(row).__name__}, expected a dict of column to value")
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _refuse_uneven(columns: Mapping[str, Sequence[Any]]) -> None:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name!r} {length}" for name, length in lengths.items())
        raise InvalidArgument(f"columns differ in their number of rows: {listed}", reason="UNEVEN_COLUMNS")
