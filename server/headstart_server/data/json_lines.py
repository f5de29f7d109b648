"""Reads JSON Lines twice: once for the keys of all lines, once for the rows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from headstart_server.core.errors import InvalidInputError, invalid
from headstart_server.core.reasons import Reason
from headstart_server.data.canonical import check_names, text_of
from headstart_server.data.encodings import encoding_of

MAX_DEPTH = 32
MAX_ARRAY_BYTES = 64 << 20
_LEAD_CHARACTERS = 4_096
_BATCH_ROWS = 20_000
_BATCH_CELLS = 4_000_000
_Rows = list[tuple[int, dict[str, Any]]]


def read_json_lines(path: Path, field: str) -> Iterator[pa.RecordBatch]:
    """JSON objects, one a line or all in one array.

    Absent keys are missing cells; a key first seen later widens the table.
    """
    names: dict[str, None] = {}
    for _, found in _objects(path, field):
        names.update(dict.fromkeys(found))
    check_names(list(names), field)
    # Keys may be on one line each: a batch of many keys is bounded by its cells, not by its rows.
    most = max(1, min(_BATCH_ROWS, _BATCH_CELLS // max(1, len(names))))
    rows: _Rows = []
    for numbered in _objects(path, field):
        rows.append(numbered)
        if len(rows) >= most:
            yield _batch(rows, list(names), field)
            rows = []
    yield _batch(rows, list(names), field)


def _objects(path: Path, field: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, object), lines counted from 1."""
    number = 0
    if _is_array(path):
        yield from _items(path, field)
        return
    # Bytes that are no text go on as surrogates until `_column` can name column and line.
    with path.open(encoding=encoding_of(path), errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, _object(line, field, number)


def _is_array(path: Path) -> bool:
    """Whether a file begins as one JSON array does, which no line of JSON Lines may."""
    with path.open(encoding=encoding_of(path), errors="surrogateescape") as file:
        return file.read(_LEAD_CHARACTERS).lstrip().startswith("[")


def _items(path: Path, field: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(item, object) of one JSON array of objects, items counted from 1; it is read as a whole, and so is bounded."""
    if path.stat().st_size > MAX_ARRAY_BYTES:
        message = f"is one JSON array of more than {MAX_ARRAY_BYTES} bytes; write one object a line instead"
        raise invalid(field, message, reason=Reason.TOO_LARGE)
    try:
        items = json.loads(path.read_text(encoding=encoding_of(path), errors="surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise invalid(field, f"is not JSON: {str(error)[:200]}", reason=Reason.UNREADABLE_DATA) from None
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict):
            message = f"item {number} is not a JSON object but {type(item).__name__}"
            raise invalid(field, message, reason=Reason.UNREADABLE_DATA)
        if _deeper(item):
            message = f"item {number} is nested more than {MAX_DEPTH} deep; flatten it"
            raise invalid(field, message, reason=Reason.UNREADABLE_DATA)
        yield number, item


def _object(line: str, field: str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _refused(field, number, f"is not JSON: {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise _refused(field, number, f"is not a JSON object but {type(value).__name__}")
    # Counting brackets is cheap, and a line with few of them cannot be deep.
    if line.count("[") + line.count("{") > MAX_DEPTH and _deeper(value):
        raise _refused(field, number, f"is nested more than {MAX_DEPTH} deep; flatten it")
    return value


def _deeper(value: Any) -> bool:
    """Whether a value is nested deeper than it may be; without recursion, which it would exhaust."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        children = [item.values() if isinstance(item, dict) else item for item in level]
        level = [item for items in children for item in items if isinstance(item, dict | list)]
    return bool(level)


def _batch(rows: _Rows, names: list[str], field: str) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([_column(rows, name, field) for name in names], names=names)


def _column(rows: _Rows, name: str, field: str) -> pa.Array:
    texts = [_text(number, row, name, field) for number, row in rows]
    try:
        name.encode()  # which may hold such bytes, too
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError:
        for (number, row), text in zip(rows, texts, strict=True):
            if name in row and not _encodable(name + (text or "")):
                message = f"column {name[:80]!r} holds bytes that are not UTF-8, or half a character; save it as UTF-8"
                raise _refused(field, number, message) from None
        raise


def _text(number: int, row: dict[str, Any], name: str, field: str) -> str | None:
    try:
        return None if _is_missing(row.get(name)) else text_of(row[name])
    except ValueError as error:
        raise _refused(field, number, f"column {name[:80]!r}: {error}") from None


def _is_missing(value: Any) -> bool:
    """Whether a cell holds nothing: null, or the NaN that Python and pandas write into JSON."""
    return value is None or (isinstance(value, float) and value != value)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused(field: str, number: int, message: str) -> InvalidInputError:
    return invalid(field, f"line {number} {message}", reason=Reason.UNREADABLE_DATA)
