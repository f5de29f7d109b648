"""Build one Column from Python values, choosing the narrowest type that holds every one of them exactly."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from headstart.errors import InvalidArgument, Violation
from headstart.v1.table_pb2 import (
    BoolValues,
    BytesValues,
    Column,
    DoubleValues,
    FloatValues,
    Int64Values,
    StringLists,
    StringValues,
)
from headstart.values.image_bytes import image_bytes
from headstart.values.lists import is_list, matrix_of

LARGEST_EXACT_INTEGER = 2**53
INT64 = range(-(2**63), 2**63)
LARGEST_FLOAT32 = 3.4028234e38
LIST_SEPARATOR = "\x1f"
"""Stands after every item of a list, as no text holds it."""
NO_TEXT = "NO_TEXT"
"""Reason of errors about values that have no textual form."""
MISSING_TYPE_NAMES = frozenset({"NAType", "NaTType"})  # pandas' own, known by name so that pandas is not imported


def column_of(name: str, values: Iterable[Any]) -> Column:
    """Return the values as a Column.

    Whole numbers become int64s, other numbers doubles, or floats where numpy has them in 32 bits, booleans bools, bytes
    bytes, paths (`pathlib.Path`) the bytes of their files, lists of equally many numbers vectors, other lists and sets
    string_lists, everything else strings: texts as they are, dicts as JSON, others by `str`. Numbers among strings, and
    columns with integers that neither 64 bits nor, among fractions, a double can hold, become strings. None, NaN and
    pandas' missing values become nulls.

    Raises:
        InvalidArgument: a value that cannot be sent, by column and row.
    """
    given = list(values)
    cells = [_scalar(value) for value in given]
    nulls = [is_missing(cell) for cell in cells]
    present = [cell for cell, null in zip(cells, nulls, strict=True) if not null]
    column = Column(name=name, nulls=nulls if any(nulls) else [])
    if present and all(isinstance(cell, bool) for cell in present):
        column.bools.CopyFrom(BoolValues(values=[bool(cell) for cell in _filled(cells, nulls, False)]))
    elif present and all(_is_whole(cell) for cell in present):
        column.int64s.CopyFrom(Int64Values(values=_filled(cells, nulls, 0)))
    elif present and all(_is_number(cell) for cell in present):
        _set_numbers(column, given, cells, nulls)
    elif any(isinstance(cell, PurePath) or _is_bytes(cell) for cell in present):
        column.bytes.CopyFrom(BytesValues(values=_all_bytes(name, _filled(cells, nulls, b""))))
    else:
        _set_texts(column, given, cells, nulls)
    return column


def _set_numbers(column: Column, given: Sequence[Any], cells: Sequence[Any], nulls: Sequence[bool]) -> None:
    _refuse_infinite(column.name, cells)
    numbers = [float(cell) for cell in _filled(cells, nulls, 0.0)]
    if all(null or _is_float32(value) for value, null in zip(given, nulls, strict=True)):
        column.floats.CopyFrom(FloatValues(values=numbers))
    else:
        column.doubles.CopyFrom(DoubleValues(values=numbers))


def _set_texts(column: Column, given: Sequence[Any], cells: Sequence[Any], nulls: Sequence[bool]) -> None:
    lists = not all(nulls) and all(null or is_list(cell) for cell, null in zip(cells, nulls, strict=True))
    matrix = matrix_of(given, nulls) if lists else None
    if matrix is not None:
        column.vectors.CopyFrom(matrix)
        return
    cells = [_shortened(cell) if _is_float32(value) else cell for value, cell in zip(given, cells, strict=True)]
    if lists:
        rows = [StringValues(values=items) for items in _each_items(column.name, _filled(cells, nulls, ()))]
        column.string_lists.CopyFrom(StringLists(rows=rows))
    else:
        column.strings.CopyFrom(StringValues(values=_texts(column.name, _filled(cells, nulls, ""))))


def refuse(column: str, row: int, why: str, reason: str = "BAD_VALUE") -> InvalidArgument:
    """Return the error for one cell; rows are counted from 0, as in the list that was given."""
    message = f"column {column!r}, row {row}: {why}"
    return InvalidArgument(message, reason=reason, violations=[Violation(f"{column}[{row}]", why)])


def _scalar(value: Any) -> Any:
    """Return numpy's scalars and arrays as Python's, without importing numpy; numbers in arrays keep their digits."""
    if not (hasattr(value, "dtype") and hasattr(value, "tolist")):
        return value
    plain = value.tolist()
    return shortest_float32(plain) if isinstance(plain, float) and _is_float32(value) else plain


def _is_float32(value: Any) -> bool:
    return str(getattr(value, "dtype", "")) == "float32"


def _shortened(items: Any) -> Any:
    """Return the float32 numbers of an array."""
    if isinstance(items, list):
        return [_shortened(item) for item in items]
    return shortest_float32(items) if isinstance(items, float) else items


def shortest_float32(value: float) -> float:
    """Return a float32 as its own shortest text says: 0.1, which as a double is 0.10000000149011612."""
    for digits in (6, 7, 8, 9):
        short = float(f"{value:.{digits}g}")
        # struct raises OverflowError for what rounds beyond float32's range.
        if abs(short) < LARGEST_FLOAT32 and struct.unpack("f", struct.pack("f", short))[0] == value:
            return short
    return value


def is_missing(cell: Any) -> bool:
    """Tell whether a cell is None, NaN or one of pandas' missing values."""
    if cell is None or type(cell).__name__ in MISSING_TYPE_NAMES:
        return True
    return isinstance(cell, float) and math.isnan(cell)


def _is_whole(cell: Any) -> bool:
    return isinstance(cell, int) and not isinstance(cell, bool) and cell in INT64


def _is_number(cell: Any) -> bool:
    if isinstance(cell, int):
        return not isinstance(cell, bool) and abs(cell) <= LARGEST_EXACT_INTEGER
    return isinstance(cell, float)


def _is_bytes(cell: Any) -> bool:
    return isinstance(cell, bytes | bytearray | memoryview)


def _filled(cells: Sequence[Any], nulls: Sequence[bool], filler: Any) -> list[Any]:
    return [filler if null else cell for cell, null in zip(cells, nulls, strict=True)]


def _refuse_infinite(name: str, cells: Sequence[Any]) -> None:
    for row, cell in enumerate(cells):
        if isinstance(cell, float) and math.isinf(cell):
            raise refuse(name, row, f"{cell} is not a finite number; use None for a missing value")


def _all_bytes(name: str, cells: Sequence[Any]) -> list[bytes]:
    for row, cell in enumerate(cells):
        if not isinstance(cell, PurePath) and not _is_bytes(cell):
            raise refuse(
                name, row, f"{_shown(cell)} among bytes; a column holds bytes or paths in every row or in none"
            )
    return [
        _file(name, row, Path(cell)) if isinstance(cell, PurePath) else bytes(cell) for row, cell in enumerate(cells)
    ]


def _file(name: str, row: int, path: Path) -> bytes:
    try:
        return image_bytes(path)
    except InvalidArgument as error:
        raise refuse(name, row, error.message) from None


def _texts(name: str, cells: Sequence[Any]) -> list[str]:
    return [_sendable(name, row, partial(_only_text, cell))[0] for row, cell in enumerate(cells)]


def _each_items(name: str, cells: Sequence[Any]) -> list[list[str]]:
    return [_sendable(name, row, partial(_items, cell)) for row, cell in enumerate(cells)]


def _sendable(name: str, row: int, texts_of: Callable[[], list[str]]) -> list[str]:
    """Return the texts of one cell; raises InvalidArgument where it has none, or UTF-8 cannot hold one."""
    try:
        texts = texts_of()
        for text in texts:
            text.encode()
    except UnicodeEncodeError as error:
        raise refuse(name, row, f"text that UTF-8 cannot hold ({error.reason})") from None
    except (TypeError, ValueError) as error:
        raise refuse(name, row, str(error), NO_TEXT) from None
    return texts


def _only_text(cell: Any) -> list[str]:
    return [_text(cell)]


def _text(cell: Any) -> str:
    if isinstance(cell, str):
        return str(cell)
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < LARGEST_EXACT_INTEGER else repr(float(cell))
    # pandas' Timedelta is a timedelta that writes itself, to the nanosecond.
    if isinstance(cell, timedelta) and not hasattr(cell, "nanoseconds"):
        return _duration_text(cell)
    if isinstance(cell, Mapping):
        return json.dumps(cell, ensure_ascii=False, sort_keys=True, default=str)
    if _only_has_an_address(cell) or type(cell).__name__ == "MonthDayNano":  # Arrow's, a tuple of three sizes
        raise ValueError(f"{_shown(cell)} has no textual form; give text, a number, a boolean, bytes or a list of them")
    if is_list(cell):
        return "".join(item + LIST_SEPARATOR for item in _items(cell)) or LIST_SEPARATOR
    return str(cell)


def _items(cell: Any) -> list[str]:
    """Return the items of a list or set. Sets have no order: sorted, equal ones give equal cells."""
    items = [_item(item) for item in cell]
    return sorted(items) if isinstance(cell, set | frozenset) else items


def _only_has_an_address(cell: Any) -> bool:
    """Tell whether `str` would give nothing but `<... object at 0x...>`."""
    kind: Any = type(cell)
    return bool(kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__)


def _duration_text(cell: timedelta) -> str:
    clock = timedelta(seconds=cell.seconds, microseconds=cell.microseconds)
    whole, _, fraction = str(clock).partition(".")
    digits = fraction.rstrip("0")
    return f"{cell.days} days {whole.zfill(8)}{'.' if digits else ''}{digits}"


def _item(item: Any) -> str:
    """Return one item of a list; a missing one is empty."""
    item = _scalar(item)
    if item is None or type(item).__name__ in MISSING_TYPE_NAMES:
        return ""
    if isinstance(item, list | tuple | set | frozenset | Mapping) or _is_bytes(item):
        raise TypeError(f"a list holds {_shown(item)}; give texts or numbers")
    text = _text(item)
    if LIST_SEPARATOR in text:
        raise ValueError(f"item {text!r} holds the character U+001F, which separates items; remove it")
    return text


def _shown(cell: Any) -> str:
    return f"{type(cell).__name__} {cell!r:.40}"
