"""File formats by their endings, and the way from each to record batches of strings, numbers and bytes."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

import pyarrow as pa

from headstart_server.core.errors import invalid
from headstart_server.core.reasons import Reason
from headstart_server.data.canonical import canonical_batches
from headstart_server.data.columnar import read_arrow, read_parquet
from headstart_server.data.delimited import read_delimited
from headstart_server.data.expansion import bounded
from headstart_server.data.json_lines import read_json_lines


class Format(StrEnum):
    """File formats, by their usual endings."""

    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    ARROW = "arrow"
    ZIP = "zip"
    TAR = "tar"
    TGZ = "tgz"
    FOLDER = "folder"


ARCHIVES = (Format.ZIP, Format.TAR, Format.TGZ)
CONTAINERS = (*ARCHIVES, Format.FOLDER)
"""Formats that hold files: a table and images, or images alone."""
_ENDINGS = {
    "ndjson": Format.JSONL,
    "json": Format.JSONL,
    "pq": Format.PARQUET,
    "feather": Format.ARROW,
    "ipc": Format.ARROW,
}
_READERS: dict[Format, Callable[[Path, str], Iterator[pa.RecordBatch]]] = {
    Format.CSV: lambda path, field: read_delimited(path, field, None),
    Format.TSV: lambda path, field: read_delimited(path, field, "\t"),
    Format.JSONL: read_json_lines,
    Format.PARQUET: read_parquet,
    Format.ARROW: read_arrow,
}


def format_of(file_name: str, field: str) -> Format:
    """The format that a file's ending names; raises InvalidInputError naming `field`."""
    ending = "tgz" if file_name.lower().endswith(".tar.gz") else Path(file_name).suffix.lower().lstrip(".")
    try:
        found = _ENDINGS.get(ending) or Format(ending)
        if found is Format.FOLDER:
            raise ValueError(ending)
        return found
    except ValueError:
        known = ", ".join(f".{item}" for item in Format if item is not Format.FOLDER)
        raise invalid(
            field, f"the ending of {file_name[:200]!r} names no format; use {known} or give the format"
        ) from None


def read_batches(path: Path, file_format: Format, field: str) -> Iterator[pa.RecordBatch]:
    """Yields record batches whose columns are large_string, float64 or binary; bounded memory.

    Raises InvalidInputError naming `field` and, where it can be known, the row.
    """
    size = path.stat().st_size
    if size == 0:
        raise invalid(field, "the file is empty; it needs a header and at least one row", reason=Reason.EMPTY_DATA)
    try:
        yield from bounded(_canonical(_READERS[file_format](path, field), field), size, field)
    except (pa.ArrowException, OSError, UnicodeError, MemoryError) as error:
        raise invalid(
            field, f"not readable as {file_format}: {str(error)[:300]}", reason=Reason.UNREADABLE_DATA
        ) from error


def _canonical(batches: Iterator[pa.RecordBatch], field: str) -> Iterator[pa.RecordBatch]:
    row = 0
    for batch in batches:
        yield from canonical_batches(batch, field, row)
        row += batch.num_rows
