"""Cells that name image files, on their way into a prediction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from headstart.errors import InvalidArgument
from headstart.values.image_bytes import sendable


def with_image_paths(rows: Iterable[dict[str, Any]], images: Collection[str], table: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table with the cells of image columns as paths of files that exist; raises as `path_of`."""
    for number, row in enumerate(rows, start=1):
        yield {**row, **{name: path_of(table, number, name, row[name]) for name in images if row.get(name)}}


def path_of(table: Path, row: int, column: str, cell: Any) -> Path:
    """Return the file that a cell names, relative to the table's folder; rows are counted from 1.

    Raises:
        InvalidArgument: there is no such file, or it does not fit a message.
    """
    where = f"{table}, row {row}, column {column!r}"
    if not isinstance(cell, str):
        raise InvalidArgument(f"{where}: {cell!r:.80} names no file; give the path of an image")
    try:
        return sendable(table.parent / cell)
    except InvalidArgument as error:
        raise InvalidArgument(f"{where}: {error.message}; add the file or correct the cell") from None
