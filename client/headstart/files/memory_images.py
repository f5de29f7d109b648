"""Columns in memory whose texts name image files, told from columns of text by asking what the model reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from headstart.files.endings import is_image
from headstart.v1.model_pb2 import Model
from headstart.v1.table_pb2 import Table
from headstart.values.table import FrameColumns, Rows, columns_of, table_of


def may_name_images(columns: Mapping[str, Sequence[Any]]) -> bool:
    """Tell whether any text looks like the name of an image file."""
    return any(isinstance(cell, str) and is_image(cell) for cells in columns.values() for cell in cells)


def holds_paths(columns: Mapping[str, Sequence[Any]]) -> bool:
    """Tell whether any cell is a file's path, so that sending it reads the file."""
    return any(isinstance(cell, PurePath) for cells in columns.values() for cell in cells)


def image_inputs(model: Model) -> frozenset[str]:
    """Return the columns of a model that hold images."""
    return frozenset(item.column for item in model.inputs if item.type == "image")


def table_with_images(rows: Rows, images: Collection[str]) -> Table:
    """Return a table in which the texts of image columns are replaced by the files that they name.

    Paths are relative to the working directory; empty texts are missing cells. A Table is taken as it is.

    Raises:
        InvalidArgument: a file is missing or too large, by column and row; or as `table_of`.
    """
    if isinstance(rows, Table):
        return rows
    columns = columns_of(rows)
    named = {name: _paths(cells) if name in images else cells for name, cells in columns.items()}
    return table_of(FrameColumns(named) if isinstance(columns, FrameColumns) else named)


def _paths(cells: Sequence[Any]) -> list[Any]:
    return [(Path(cell) if cell else None) if isinstance(cell, str) else cell for cell in cells]
