"""Write predictions as CSV or JSON Lines, batch by batch; a file has its name only once it is whole."""

from __future__ import annotations

import csv
import json
import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

Write = Callable[[Mapping[str, Sequence[Any]]], None]
"""Appends columns."""


def csv_writer(file: TextIO) -> Write:
    """Return a function that appends columns as CSV, the header first."""
    writer = csv.writer(file, lineterminator="\n")
    header: list[str] = []

    def write(columns: Mapping[str, Sequence[Any]]) -> None:
        if not header:
            header.extend(columns)
            writer.writerow(header)
        for row in zip(*columns.values(), strict=True):
            writer.writerow([cell_text(cell) for cell in row])

    return write


def json_writer(file: TextIO) -> Write:
    """Return a function that appends columns as JSON Lines."""

    def write(columns: Mapping[str, Sequence[Any]]) -> None:
        for row in zip(*columns.values(), strict=True):
            file.write(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) + "\n")
        file.flush()

    return write


@contextmanager
def published(path: Path) -> Iterator[TextIO]:
    """Open a file that appears under its name at the end, or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def cell_text(cell: Any) -> str:
    """Return one CSV cell: sets with commas, vectors with spaces between their items."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return float_text(cell)
    if isinstance(cell, list):
        numbers = all(isinstance(item, float) for item in cell)
        return (" " if numbers else ",").join(cell_text(item) for item in cell)
    return str(cell)


def float_text(value: float) -> str:
    """Return the shortest text that reads back as the same float32, where it was one, else as the same double."""
    for digits in (7, 8, 9):
        text = f"{value:.{digits}g}"
        if _as_float32(float(text)) == value:
            return text
    return repr(value)


def _as_float32(value: float) -> float:
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return value
