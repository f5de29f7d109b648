"""Read rows from files without holding them whole; CSV, TSV and JSON Lines here."""

from __future__ import annotations

import codecs
import csv
import json
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from headstart.errors import InvalidArgument
from headstart.files import arrow_files
from headstart.files.delimiters import LEAD_CHARACTERS as LEAD
from headstart.files.delimiters import delimiter_of
from headstart.files.image_cells import with_image_paths
from headstart.values.table import Rows

Row = dict[str, Any]

BATCH_ROWS = 256
BATCH_BYTES = 4 << 20
LARGEST_CELL = 1 << 30
LEAD_CHARACTERS = 4_096
_CELL_LIMIT = threading.Lock()
# UTF-32's little-endian mark begins with UTF-16's, so it is looked for before that.
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_batches(path: Path, most_rows: int, images: Collection[str] = ()) -> Iterator[Rows]:
    """Yield the rows of a file, by its ending, in batches that fit a message; raises as `read_rows` does.

    Cells of `images` columns name files relative to the file's folder.
    """
    if path.suffix.lower() in arrow_files.ENDINGS:
        return arrow_files.read_tables(path, most_rows, images)
    rows = read_rows(path)
    return batches(with_image_paths(rows, images, path) if images else rows, most_rows)


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file, by its ending. Empty CSV cells are missing; a column without a name is left out.

    Raises:
        InvalidArgument: an unknown ending, or a line that cannot be read, by its number.
        OSError: the file cannot be read.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join([*READERS, *arrow_files.ENDINGS])
        raise InvalidArgument(f"{path}: predict reads {known}; convert the file to one of them")
    with path.open(encoding=_encoding(path), newline="") as file:
        try:
            yield from reader(file, path)
        except UnicodeError as error:
            reason = error.reason if isinstance(error, UnicodeDecodeError) else error
            raise InvalidArgument(f"{path} is not UTF-8 ({reason}); save it as UTF-8") from None


def batches(rows: Iterable[Row], most_rows: int) -> Iterator[list[Row]]:
    """Yield rows in lists that fit a message, however long the texts and however large the images are."""
    batch: list[Row] = []
    weight = 0
    for row in rows:
        heft = sum(map(_heft, row.values()))
        if batch and (len(batch) >= most_rows or weight + heft > BATCH_BYTES):
            yield batch
            batch, weight = [], 0
        batch.append(row)
        weight += heft
    if batch:
        yield batch


def _heft(cell: Any) -> int:
    """Return about how many bytes of a message a cell takes."""
    if isinstance(cell, Path):
        return cell.stat().st_size
    return len(cell) if isinstance(cell, str | bytes) else 16


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    return next((name for mark, name in MARKS.items() if start.startswith(mark)), "utf-8-sig")


def _read_csv(file: TextIO, path: Path) -> Iterator[Row]:
    delimiter = delimiter_of(file.read(LEAD))
    file.seek(0)
    return _read_delimited(file, path, delimiter)


def _read_delimited(file: TextIO, path: Path, delimiter: str) -> Iterator[Row]:
    lines = csv.reader(file, delimiter=delimiter, strict=True)
    records = _long_cells(lines)
    try:
        header = _usable(next(records, None), path)
        for cells in records:
            if not cells:
                continue
            if len(cells) != len(header):
                raise InvalidArgument(f"{path}, line {lines.line_num}: {len(cells)} cells under {len(header)} columns")
            yield {name: cell or None for name, cell in zip(header, cells, strict=True) if name}
    except csv.Error as error:
        raise InvalidArgument(f"{path}, line {lines.line_num}: {error}") from None


def _long_cells(lines: Iterator[list[str]]) -> Iterator[list[str]]:
    """Yield records with cells of up to 1 GiB.

    The limit is the whole process's: it is raised for the one call that reads a record, so that files may be read in
    turns and on several threads.
    """
    while True:
        with _CELL_LIMIT:
            before = csv.field_size_limit(LARGEST_CELL)
            try:
                record = next(lines, None)
            finally:
                csv.field_size_limit(before)
        if record is None:
            return
        yield record


def _read_tsv(file: TextIO, path: Path) -> Iterator[Row]:
    return _read_delimited(file, path, "\t")


def _usable(header: list[str] | None, path: Path) -> list[str]:
    if header is None:
        raise InvalidArgument(f"{path} is empty; the first line names the columns")
    if not header:
        raise InvalidArgument(f"{path}: the first line is blank; it must name the columns")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InvalidArgument(f"{path}: column {twice[0]!r} is named twice")
    return header


def _read_json(file: TextIO, path: Path) -> Iterator[Row]:
    """Read one array of objects, or JSON Lines."""
    start = file.read(LEAD_CHARACTERS).lstrip()
    file.seek(0)
    if not start.startswith("["):
        yield from _read_json_lines(file, path)
        return
    try:
        rows = json.load(file)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{path}: not JSON ({error})") from None
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise InvalidArgument(f"{path}, item {number}: expected an object, got {type(row).__name__}")
        yield row


def _read_json_lines(file: TextIO, path: Path) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidArgument(f"{path}, line {number}: not JSON ({error})") from None
        if not isinstance(row, dict):
            raise InvalidArgument(f"{path}, line {number}: expected an object, got {type(row).__name__}")
        yield row


READERS: dict[str, Callable[[TextIO, Path], Iterator[Row]]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_json,
    ".ndjson": _read_json,
    ".json": _read_json,
}
"""By ending."""
