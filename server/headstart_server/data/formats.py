"""Reads data files batch by batch into strings and numbers, naming the row of whatever is wrong."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from headstart_server.core.errors import invalid

BLOCK_BYTES = 8 << 20
LIST_SEPARATOR = "\x1f"
_JSON_ROWS = 20_000
_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)


class Format(StrEnum):
    """File formats, by their usual endings."""

    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    ARROW = "arrow"


_ENDINGS = {
    "ndjson": Format.JSONL,
    "json": Format.JSONL,
    "pq": Format.PARQUET,
    "feather": Format.ARROW,
    "ipc": Format.ARROW,
}


def format_of(file_name: str, field: str) -> Format:
    """The format that a file's ending names; raises InvalidInputError naming `field`."""
    ending = Path(file_name).suffix.lower().lstrip(".")
    try:
        return _ENDINGS.get(ending) or Format(ending)
    except ValueError:
        known = ", ".join(f".{item}" for item in Format)
        raise invalid(
            field, f"the ending of {file_name[:200]!r} names no format; use {known} or give the format"
        ) from None


def read_batches(path: Path, file_format: Format, field: str) -> Iterator[pa.RecordBatch]:
    """Yields record batches whose columns are large_string, float64 or binary; bounded memory.

    Raises InvalidInputError naming `field` and, where it can be known, the row.
    """
    readers: dict[Format, Callable[[Path, str], Iterator[pa.RecordBatch]]] = {
        Format.CSV: lambda path, field: _read_delimited(path, field, ","),
        Format.TSV: lambda path, field: _read_delimited(path, field, "\t"),
        Format.JSONL: _read_jsonl,
        Format.PARQUET: _read_parquet,
        Format.ARROW: _read_arrow,
    }
    if path.stat().st_size == 0:
        raise invalid(field, "the file is empty; it needs a header and at least one row", reason="EMPTY_DATA")
    try:
        for batch in readers[file_format](path, field):
            yield canonical_batch(batch, field)
    except (pa.ArrowException, OSError, UnicodeError, csv.Error) as error:
        raise invalid(field, f"not readable as {file_format}: {str(error)[:300]}", reason="UNREADABLE_DATA") from error


def canonical_batch(batch: pa.RecordBatch, field: str) -> pa.RecordBatch:
    """The batch with every column as large_string, float64 or large_binary; empty strings are missing cells.

    Buffers are checked first: Arrow trusts the offsets that a stranger sends. Raises InvalidInputError by column.
    """
    try:
        batch.validate(full=True)
    except pa.ArrowException as error:
        raise invalid(field, f"is damaged: {str(error)[:300]}", reason="UNREADABLE_DATA") from None
    names = batch.schema.names
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise invalid(field, f"column {repeated[0]!r} occurs {names.count(repeated[0])} times; rename one of them")
    columns = [_canonical_column(name, column, field) for name, column in zip(names, batch.columns, strict=True)]
    return pa.RecordBatch.from_arrays(columns, names=names)


def _canonical_column(name: str, column: pa.Array, field: str) -> pa.Array:
    try:
        canonical = _canonical(column)
    except (pa.ArrowException, UnicodeError) as error:
        message = f"column {name!r} of type {column.type} is not readable: {str(error)[:200]}"
        raise invalid(field, message, reason="UNREADABLE_DATA") from None
    if pa.types.is_large_string(canonical.type):
        empty = pc.equal(canonical, "")
        if pc.any(empty).as_py():
            return pc.if_else(empty, pa.scalar(None, canonical.type), canonical)
    return canonical


def _canonical(column: pa.Array) -> pa.Array:
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _canonical(column.storage)
    if pa.types.is_dictionary(kind):
        return _canonical(column.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return _canonical(pc.run_end_decode(column))
    if any(test(kind) for test in _BYTES):
        return column.cast(pa.large_binary())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.large_string())
    if pa.types.is_nested(kind):
        texts = [None if row is None else _text(row) for row in column.to_pylist()]
        return pa.array(texts, pa.large_string())
    return column.cast(pa.large_string())


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return _list_text([item for item in value if item is not None])
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return value if isinstance(value, str) else str(value)


def _list_text(items: list[Any]) -> str:
    """Items with a separator between them; behind a single word too, which may hold spaces that separate nothing."""
    if len(items) == 1 and isinstance(items[0], str):
        return items[0] + LIST_SEPARATOR
    return LIST_SEPARATOR.join(map(_text, items))


def _read_delimited(path: Path, field: str, delimiter: str) -> Iterator[pa.RecordBatch]:
    names = _header(path, field, delimiter)
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise invalid(
            field, f"column {repeated!r} occurs {names.count(repeated)} times in the header; rename one of them"
        )
    reader = pa_csv.open_csv(
        path,
        read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
        parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types={name: pa.large_string() for name in names},
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
            null_values=[""],
        ),
    )
    yield from reader


def _header(path: Path, field: str, delimiter: str) -> list[str]:
    """The column names: the first record, which may hold quoted newlines."""
    with path.open("rb") as raw:
        text = raw.read(BLOCK_BYTES).decode("utf-8-sig", errors="replace")
    names = next(csv.reader(io.StringIO(text), delimiter=delimiter), [])
    if not any(name.strip() for name in names):
        raise invalid(field, "the first line is no header; it must name the columns")
    return names


def _read_jsonl(path: Path, field: str) -> Iterator[pa.RecordBatch]:
    """JSON objects, one a line. Absent keys are missing cells; a key first seen later widens the table."""
    names: dict[str, None] = {}
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                names.update(dict.fromkeys(_json_object(line, field, number)))
    rows: list[dict[str, Any]] = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                rows.append(_json_object(line, field, number))
            if len(rows) >= _JSON_ROWS:
                yield _json_batch(rows, list(names))
                rows = []
    yield _json_batch(rows, list(names))


def _json_object(line: str, field: str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise invalid(field, f"line {number} is not JSON: {str(error)[:200]}", reason="UNREADABLE_DATA") from None
    if not isinstance(value, dict):
        raise invalid(field, f"line {number} is not a JSON object but {type(value).__name__}", reason="UNREADABLE_DATA")
    return value


def _json_batch(rows: list[dict[str, Any]], names: list[str]) -> pa.RecordBatch:
    columns = [
        pa.array([None if row.get(name) is None else _text(row[name]) for row in rows], pa.large_string())
        for name in names
    ]
    return pa.RecordBatch.from_arrays(columns, names=names)


def _read_parquet(path: Path, field: str) -> Iterator[pa.RecordBatch]:
    with pa_parquet.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=65_536)


def _read_arrow(path: Path, field: str) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(path)) as source:
        try:
            reader = pa.ipc.open_file(source)
        except pa.ArrowInvalid:
            source.seek(0)
            yield from pa.ipc.open_stream(source)
            return
        for index in range(reader.num_record_batches):
            yield reader.get_batch(index)


def as_strings(values: pa.Array) -> pa.Array:
    """A canonical column as strings: whole numbers without a decimal point, others in their shortest form."""
    if pa.types.is_large_string(values.type):
        return values
    if pa.types.is_floating(values.type):
        texts = [None if value is None or value != value else _number_text(value) for value in values.to_pylist()]
        return pa.array(texts, pa.large_string())
    try:
        return pc.cast(values, pa.large_string())
    except pa.ArrowInvalid:
        raise invalid(
            "", "holds bytes that are not UTF-8 text; encode them as text first", reason="BAD_COLUMN"
        ) from None


def _number_text(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
