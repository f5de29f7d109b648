"""Columns of every Arrow type as large_string, float64 or large_binary: what the rest of the house reads."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headstart_server.core.errors import invalid
from headstart_server.core.reasons import Reason
from headstart_server.data.embedded_files import file_cells, holds_files
from headstart_server.data.expansion import decoded_bytes
from headstart_server.data.typed_texts import is_spelled, spelled

# ASCII's unit separator, behind every item: even a list of one item is told from text by it.
LIST_SEPARATOR = "\x1f"
MAX_COLUMNS = 20_000
CHUNK_ROWS = 65_536
CHUNK_BYTES = 256 << 20
"""Of what decoding one chunk may take: larger ones are halved."""
MAX_CELL_BYTES = 1 << 30
_FEW_ROWS = 16
_UNREADABLE = b"headstart.unreadable"
_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)


def canonical_batches(
    batch: pa.RecordBatch, field: str, first_row: int = 0, *, vectors: bool = False
) -> Iterator[pa.RecordBatch]:
    """The batch in canonical batches that are small enough to decode; `first_row` counts its rows in errors.

    `vectors` leaves lists of equally many float32 numbers as they are: `as_strings` makes texts of them.

    Buffers are checked first: Arrow trusts the offsets that somebody sends. Raises InvalidInputError by column.
    """
    validated(batch, field)
    check_names(batch.schema.names, field)
    # A batch without rows still tells its columns.
    for start in range(0, max(1, batch.num_rows), CHUNK_ROWS):
        yield from _chunks(batch.slice(start, CHUNK_ROWS), field, first_row + start, vectors)


def validated(rows: pa.Table | pa.RecordBatch, field: str) -> Any:
    """The same rows once every offset and index in them is known to be sound; raises InvalidInputError."""
    try:
        rows.validate(full=True)
    except pa.ArrowException as error:
        raise invalid(field, f"is damaged: {str(error)[:300]}", reason=Reason.UNREADABLE_DATA) from None
    return rows


def check_names(names: list[str], field: str) -> None:
    """Refuses columns of one name, and more columns than a table may have."""
    if len(names) > MAX_COLUMNS:
        raise invalid(field, f"holds {len(names)} columns; keep at most {MAX_COLUMNS}", reason=Reason.TOO_MANY_COLUMNS)
    name, times = next(iter(Counter(names).most_common(1)), ("", 1))
    if times > 1:
        raise invalid(field, f"column {name[:200]!r} occurs {times} times; rename one of them")


def _chunks(batch: pa.RecordBatch, field: str, first_row: int, vectors: bool) -> Iterator[pa.RecordBatch]:
    sizes = {name: decoded_bytes(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    if sum(sizes.values()) > CHUNK_BYTES and batch.num_rows > 1:
        # Halved until it fits: rows may differ in size by any factor, so that no number of them can be computed.
        half = batch.num_rows // 2
        yield from _chunks(batch.slice(0, half), field, first_row, vectors)
        yield from _chunks(batch.slice(half), field, first_row + half, vectors)
        return
    name = max(sizes, key=lambda name: sizes[name], default="")
    if sizes.get(name, 0) > MAX_CELL_BYTES:
        message = (
            f"column {name[:200]!r}, row {first_row + 1}: one cell takes more than {MAX_CELL_BYTES} bytes; split it"
        )
        raise invalid(field, message, reason=Reason.TOO_LARGE)
    columns = [
        (column, pa.field(name, column.type)) if vectors and _is_vectors(column.type) else _column(name, column, field)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    yield pa.RecordBatch.from_arrays([column for column, _ in columns], schema=pa.schema([kind for _, kind in columns]))


def _is_vectors(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind) and kind.list_size > 0 and pa.types.is_float32(kind.value_type))


def why_unreadable(kind: pa.Field) -> str:
    """Why a canonical column holds nothing: its type has no text here. Empty for all others."""
    return bytes((kind.metadata or {}).get(_UNREADABLE, b"")).decode()


def _column(name: str, column: pa.Array, field: str) -> tuple[pa.Array, pa.Field]:
    """The column and its field. One of a type that nobody reads is empty, and says so: it may be used by nobody."""
    try:
        canonical = _text_or_numbers(column)
    except (pa.ArrowException, ValueError, OverflowError, TypeError, RecursionError) as error:
        message = f"of type {str(column.type)[:200]} is not readable: {str(error)[:200]}; convert it to text or numbers"
        # A type that Arrow has no cast for may lie unused; whatever else fails is the data's fault.
        if not isinstance(error, pa.ArrowNotImplementedError):
            raise invalid(field, f"column {name[:200]!r} {message}", reason=Reason.UNREADABLE_DATA) from None
        nothing = pa.nulls(len(column), pa.large_string())
        return nothing, pa.field(name, nothing.type, metadata={_UNREADABLE: message.encode()})
    return canonical, pa.field(name, canonical.type)


def _text_or_numbers(column: pa.Array) -> pa.Array:
    canonical = _canonical(column)
    # An empty text is a missing cell in every format, as it is in CSV.
    if pa.types.is_large_string(canonical.type) and _holds(canonical, ""):
        return pc.if_else(pc.equal(canonical, ""), pa.scalar(None, canonical.type), canonical)
    return canonical


def _holds(texts: pa.Array, text: str) -> bool:
    """Whether a cell is this text. Of a few, Python tells sooner than Arrow has found its function."""
    if len(texts) <= _FEW_ROWS:
        return text in texts.to_pylist()
    return bool(pc.any(pc.equal(texts, text)).as_py())


def _canonical(column: pa.Array) -> pa.Array:
    kind = column.type
    # Before other extension types: its storage would be read as bytes.
    if isinstance(kind, pa.UuidType):
        return spelled(column)
    if isinstance(kind, pa.BaseExtensionType):
        return _canonical(column.storage)
    if pa.types.is_dictionary(kind):
        # Each value of the dictionary is converted once, however many rows hold it.
        return _canonical(column.dictionary).take(column.indices)
    if pa.types.is_run_end_encoded(kind):
        return _canonical(pc.run_end_decode(column))
    if any(test(kind) for test in _BYTES):
        return column.cast(pa.large_binary())
    if pa.types.is_float64(kind) or pa.types.is_large_string(kind):
        return column
    if pa.types.is_float16(kind):
        return column.cast(pa.float32()).cast(pa.float64())
    if pa.types.is_floating(kind):  # as its own shortest text says: 0.1, not 0.10000000149011612
        return column.cast(pa.float32()).cast(pa.large_string()).cast(pa.float64())
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.large_string())
    if holds_files(kind):
        return file_cells(column)
    if is_spelled(kind):
        return spelled(column)
    if pa.types.is_nested(kind):
        column = _with_spelled_items(column)
        texts = [None if row is None else text_of(row) for row in column.to_pylist()]
        return pa.array(texts, pa.large_string())
    return column.cast(pa.large_string())


def _with_spelled_items(column: pa.Array) -> pa.Array:
    """A list of numbers, decimals or times with items as texts; other columns as they are."""
    kind = column.type
    if not any(test(kind) for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)):
        return column
    if not pa.types.is_floating(kind.value_type) and not is_spelled(kind.value_type):
        return column
    # `flatten` leaves out what null lists hold, so their length is 0 here; a slice's own offsets may not begin at 0.
    lengths = pc.fill_null(pc.list_value_length(column), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths.cast(pa.int64()))])
    texts = as_strings(_canonical(column.flatten()), keep_nan=True)
    return pa.LargeListArray.from_arrays(offsets, texts, mask=column.is_null())


def text_of(value: Any) -> str:
    """A value as a cell's text; lists with a separator after every item, a missing one empty."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number_text(value)
    if isinstance(value, list | tuple):
        return "".join(_item_text(item) + LIST_SEPARATOR for item in value) or LIST_SEPARATOR
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return value if isinstance(value, str) else str(value)


def _item_text(item: Any) -> str:
    """One item of a list, a missing one empty; raises ValueError where it would be taken for several."""
    text = "" if item is None else text_of(item)
    if LIST_SEPARATOR in text and not isinstance(item, list | tuple):
        raise ValueError(f"item {text[:80]!r} holds the character U+001F, which separates items; remove it")
    return text


def as_strings(values: pa.Array, *, keep_nan: bool = False) -> pa.Array:
    """A canonical column as strings: whole numbers without a decimal point, others in their shortest form.

    NaN is missing, unless it is kept as a word: an item of a list must not vanish.
    """
    if pa.types.is_large_string(values.type):
        return values
    if _is_vectors(values.type):
        return _canonical(values)
    if pa.types.is_floating(values.type):
        texts = [
            None if value is None or (value != value and not keep_nan) else _number_text(value)
            for value in values.to_pylist()
        ]
        return pa.array(texts, pa.large_string())
    try:
        return pc.cast(values, pa.large_string())
    except pa.ArrowInvalid:
        raise invalid(
            "", "holds bytes that are not UTF-8 text; encode them as text first", reason=Reason.BAD_COLUMN
        ) from None


def _number_text(value: float) -> str:
    # From 2^53 on a double stands for several whole numbers: its digits would say more than is known.
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
