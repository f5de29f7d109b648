"""Find the image files that a table's cells name, so that they can travel with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from headstart.errors import InvalidArgument, Violation
from headstart.files import arrow_files, endings
from headstart.files.row_files import READERS, read_rows
from headstart.values.image_columns import ImageColumns

BATCH_ROWS = 4096
SHOWN = 20
HOPELESS = 1000


@dataclass
class _Column:
    """What the cells of one column name. Where `certain` is false, it may be no column of images at all."""

    certain: bool
    files: dict[str, Path] = field(default_factory=dict)
    missing: list[Violation] = field(default_factory=list)
    missing_count: int = 0
    like_images: bool = True
    """Whether every cell names a file or looks like the name of an image."""

    def take(self, cell: str, where: str, table: Path, folders: Iterable[Path]) -> None:
        if cell in self.files or self._is_hopeless():
            return
        found = _found(cell, table, folders)
        if isinstance(found, Path):
            self.files[cell] = found
            return
        self.missing_count += 1
        self.like_images = self.like_images and endings.is_image(cell)
        if len(self.missing) < SHOWN:
            self.missing.append(Violation(where, found))

    def holds_images(self) -> bool:
        """Tell whether it is a column of images; one text among many that happens to name a file makes it none."""
        return self.certain or self.like_images or len(self.files) > self.missing_count

    def _is_hopeless(self) -> bool:
        """Tell whether so many cells name nothing that the others need not be looked at."""
        return not self.holds_images() and self.missing_count - len(self.files) > HOPELESS


def named_images(table: Path, folders: Iterable[Path], columns: ImageColumns) -> list[Path]:
    """Return the files that the cells of image columns name, below the first of the folders that has them.

    Tables that cannot be read here (Parquet without pyarrow) name none: they mostly hold the bytes themselves.

    Raises:
        InvalidArgument: files are missing, or lie outside of the folders: the first 20 by row.
        OSError: the table cannot be read.
    """
    found: dict[str, _Column] = {}
    for row, cells in enumerate(_texts(table, columns), start=1):
        for name, cell in cells.items():
            where = f"{table.name}, row {row}, column {name!r}"
            found.setdefault(name, _Column(columns.certain)).take(cell, where, table, folders)
    images = {name: column for name, column in found.items() if column.holds_images()}
    _refuse_missing(table, {name: column for name, column in images.items() if not columns.is_lenient(name)})
    return sorted({path for column in images.values() for path in column.files.values()})


def _found(cell: str, table: Path, folders: Iterable[Path]) -> Path | str:
    """Return the file that a cell names, or what is wrong with it and what to do."""
    shown = f"{cell!r:.200}"
    try:
        if PurePath(cell).is_absolute() or ".." in PurePath(cell).parts:
            return f"{shown} leads out of the table's folder; name files below {table.parent}, relative to it"
        for folder in folders:
            if (folder / cell).is_file():
                return folder / cell
    except (OSError, ValueError):
        return f"{shown} is no file's name; correct the cell"
    return f"there is no file {shown} in {table.parent}; add it, or correct the cell"


def _refuse_missing(table: Path, columns: Mapping[str, _Column]) -> None:
    count = sum(column.missing_count for column in columns.values())
    if count:
        violations = [violation for column in columns.values() for violation in column.missing][:SHOWN]
        message = f"{table} names {count:,} image files that cannot be sent; nothing was uploaded"
        raise InvalidArgument(message, reason="MISSING_FILE", violations=violations)


def _texts(table: Path, columns: ImageColumns) -> Iterator[dict[str, str]]:
    """Yield the texts in the columns that may hold images, row by row."""
    ending = table.suffix.lower()
    if ending in READERS:
        for row in read_rows(table):
            yield _only_texts({name: row[name] for name in columns.among(row)})
    elif ending in arrow_files.ENDINGS and arrow_files.is_installed():
        yield from _arrow_texts(table, columns)


def _arrow_texts(table: Path, columns: ImageColumns) -> Iterator[dict[str, str]]:
    names = columns.among(arrow_files.text_columns(table))
    for batch in arrow_files.read_record_batches(table, BATCH_ROWS, names) if names else ():
        for row in batch.to_pylist():
            yield _only_texts(row)


def _only_texts(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: cell for name, cell in row.items() if isinstance(cell, str) and cell}
