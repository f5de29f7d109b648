"""Reads CSV and TSV as text, block by block, naming column and row of whatever is wrong."""

import codecs
import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from headstart.files.delimiters import LEAD_CHARACTERS, delimiter_of

from headstart_server.core.errors import InvalidInputError, invalid
from headstart_server.core.reasons import Reason
from headstart_server.data.canonical import check_names
from headstart_server.data.encodings import encoding_of

BLOCK_BYTES = 8 << 20
_LEAST_BLOCK_BYTES = 1 << 16
_MOST_GROWTH = 4
"""Bytes in UTF-8 of a byte in another encoding, at most."""
LONGEST_NAME = 131_072
_UTF16 = "where the file is UTF-16, save it as UTF-8"


def read_delimited(path: Path, field: str, delimiter: str | None) -> Iterator[pa.RecordBatch]:
    """Record batches of large_string; raises InvalidInputError, or what Arrow raises where no row can be named.

    Without a delimiter it is told by the file's beginning, as the client and exported artifacts tell it.
    """
    encoding = encoding_of(path)
    delimiter = delimiter or _delimiter(path, encoding)
    names = _header(path, field, delimiter, encoding)
    check_names(names, field)
    row, last = 0, None
    try:
        for batch in _open(path, names, delimiter, encoding):
            _refuse_nul(batch, row, field)
            row += batch.num_rows
            last = batch.column(batch.num_columns - 1)[-1].as_py() if batch.num_rows else last
            yield batch
    except pa.ArrowInvalid as error:
        raise _located(str(error), names, field, row) from None
    if last is not None and any(end in last for end in ("\n", "\r", delimiter)) and not _ends_quoted(path):
        message = f"row {row} opens a quote that is never closed, and holds the rest of the file; close it"
        raise invalid(field, message, reason=Reason.UNREADABLE_DATA)


def _delimiter(path: Path, encoding: str) -> str:
    with path.open(encoding=encoding, errors="replace", newline="") as file:
        return delimiter_of(file.read(LEAD_CHARACTERS))


def _ends_quoted(path: Path) -> bool:
    """Whether the last cell ends in a quote, as one that holds separators must; Arrow takes the end of the file too."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1_024))
        # Without the zero bytes of UTF-16 and UTF-32 the end reads alike in every encoding.
        return file.read().replace(b"\0", b"").rstrip().endswith(b'"')


def _block_bytes(size: int) -> int:
    """What Arrow reads at a time of a file of this size: of a small one all, whatever its encoding grows to in UTF-8.

    Each of Arrow's threads sets a block aside, and keeps the memory of it.
    """
    return min(BLOCK_BYTES, max(_LEAST_BLOCK_BYTES, _MOST_GROWTH * size))


def _open(path: Path, names: list[str], delimiter: str, encoding: str) -> pa_csv.CSVStreamingReader:
    reader = pa_csv.open_csv(
        path,
        # Arrow numbers the rows in its errors only where it reads on one thread (pyarrow 26).
        read_options=pa_csv.ReadOptions(
            block_size=_block_bytes(path.stat().st_size),
            use_threads=False,
            encoding="utf8" if encoding == "utf-8-sig" else encoding,
        ),
        parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types={name: pa.large_string() for name in names},
            strings_can_be_null=True,
            # A quoted empty cell is missing, too, as an empty text is in every format (`canonical`).
            quoted_strings_can_be_null=True,
            null_values=[""],
        ),
    )
    found: list[str] = reader.schema.names
    # Types go by name: where Arrow reads the header otherwise than csv, it is opened again with its own names.
    return reader if found == names else _open(path, found, delimiter, encoding)


def _header(path: Path, field: str, delimiter: str, encoding: str) -> list[str]:
    """The column names: the first record, which may hold quoted newlines."""
    try:
        # Whether the file is text at all is asked of `_decodable`.
        with path.open(encoding=encoding, errors="replace", newline="") as file:
            names = next(csv.reader(_lines(file), delimiter=delimiter), [])
    except csv.Error as error:
        raise invalid(field, f"the header is not readable: {error}; name the columns in the first line") from None
    if not any(name.strip() for name in names):
        raise invalid(field, "the first line is no header; it must name the columns")
    if any(len(name) > LONGEST_NAME for name in names):  # csv's own limit is the whole process's, and others raise it
        message = f"the header is not readable: a name is longer than {LONGEST_NAME} characters"
        raise invalid(field, f"{message}; name the columns in the first line")
    if any("\N{REPLACEMENT CHARACTER}" in name for name in names) and not _decodable(path, encoding):
        message = "the header holds bytes that are not UTF-8; save the file as UTF-8, if it is a table at all"
        raise invalid(field, message, reason=Reason.UNREADABLE_DATA)
    if any("\0" in name for name in names):
        raise invalid(field, f"the header holds NUL bytes; remove them, or {_UTF16}", reason=Reason.UNREADABLE_DATA)
    return names


def _lines(file: TextIO) -> Iterator[str]:
    """Lines, until a block is read; one that is longer comes in pieces. Few files need more than the first."""
    left = BLOCK_BYTES
    while left > 0 and (line := file.readline(left)):
        left -= len(line)
        yield line


def _decodable(path: Path, encoding: str) -> bool:
    """Whether the beginning of the file is text in this encoding; the last character may be cut off."""
    with path.open("rb") as raw:
        try:
            codecs.getincrementaldecoder(encoding)().decode(raw.read(BLOCK_BYTES))
        except UnicodeDecodeError:
            return False
    return True


def _refuse_nul(batch: pa.RecordBatch, row: int, field: str) -> None:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        data = column.buffers()[2]  # after validity and offsets
        # One pass over the raw buffer spares nearly every column the search cell by cell.
        if data is None or data.size == 0 or np.frombuffer(data, np.uint8).min() > 0:
            continue
        found = pc.fill_null(pc.match_substring(column, "\0"), False)
        if pc.any(found).as_py():
            place = f"column {name[:200]!r}, row {row + 1 + pc.index(found, True).as_py()}"
            raise invalid(field, f"{place}: holds a NUL byte; remove it, or {_UTF16}", reason=Reason.UNREADABLE_DATA)


_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", re.DOTALL)
_UNDECODABLE = re.compile(r"In CSV column #(\d+): Row #(\d+): .*invalid UTF8 data")


def _located(message: str, names: list[str], field: str, row: int) -> InvalidInputError:
    """What Arrow says, with rows counted as elsewhere: from 1 below the header, empty lines left out."""
    if found := _RAGGED.search(message):
        # Arrow counts the header as row 1.
        line, expected, got, text = found.groups()
        fix = "a quote that it opens is never closed" if text.count('"') % 2 else "quote cells that hold separators"
        message = f"row {int(line) - 1} holds {got} cells, the header {expected}: {text[:80]!r}; {fix}"
    elif found := _UNDECODABLE.search(message):
        name, place = names[int(found[1])], int(found[2]) - 1
        message = f"column {name[:200]!r}, row {place}: holds bytes that are not UTF-8; save the file as UTF-8"
    elif "straddles two block boundaries" in message:
        message = (
            f"a row after row {row} is larger than {BLOCK_BYTES} bytes, or a quote that it opens is never closed; "
            "shorten its cells, or send the file as Parquet"
        )
    else:
        message = f"not readable: {message[:300]}"
    return invalid(field, message, reason=Reason.UNREADABLE_DATA)
