"""Put the bytes of image files into Arrow batches in the place of their paths, a message at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from headstart.files.image_cells import path_of
from headstart.values.image_bytes import image_bytes

BATCH_BYTES = 4 << 20
TEXTS = ("string", "large_string", "string_view")

Paths = dict[str, list[Path | None]]


def with_image_bytes(arrow: Any, batch: Any, images: Collection[str], table: Path, first_row: int) -> Iterator[Any]:
    """Yield the rows of a batch, the text in image columns replaced by the files that it names; bytes stay.

    Raises:
        InvalidArgument: a file is missing, too large or unreadable; rows are counted from 1 after `first_row`.
    """
    paths: Paths = {
        name: _paths(batch.column(name).to_pylist(), name, table, first_row)
        for name in batch.schema.names
        if name in images and is_text(batch.schema.field(name).type)
    }
    if not paths:
        yield batch
        return
    for start, end in _spans(paths, batch.num_rows):
        part = batch.slice(start, end - start)
        for name, found in paths.items():
            cells = [path and image_bytes(path) for path in found[start:end]]
            index = part.schema.get_field_index(name)
            part = part.set_column(index, name, arrow.array(cells, arrow.large_binary()))
        yield part


def is_text(kind: Any) -> bool:
    """Tell whether an Arrow type is text, or a dictionary of texts."""
    return str(kind.value_type if str(kind).startswith("dictionary") else kind) in TEXTS


def _paths(cells: Sequence[Any], column: str, table: Path, first_row: int) -> list[Path | None]:
    return [path_of(table, row, column, cell) if cell else None for row, cell in enumerate(cells, start=first_row + 1)]


def _spans(paths: Paths, rows: int) -> Iterator[tuple[int, int]]:
    """Yield the first row and the end of each part, which holds one row or files of at most so many bytes."""
    start = weight = 0
    for row in range(rows):
        heft = sum(path.stat().st_size for column in paths.values() if (path := column[row]) is not None)
        if row > start and weight + heft > BATCH_BYTES:
            yield start, row
            start, weight = row, 0
        weight += heft
    yield start, rows
