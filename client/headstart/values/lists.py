"""Columns whose cells are lists: numbers of one length travel as vectors, everything else as lists of texts."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any

from headstart.v1.table_pb2 import FloatMatrix

_NUMBERS = frozenset({int, float})


def matrix_of(values: Sequence[Any], nulls: Sequence[bool]) -> FloatMatrix | None:
    """Return the cells as vectors of one length, zeros where they are missing.

    None where they are no lists of equally many finite numbers, or hold whole numbers that 32 bits cannot hold exactly.
    """
    rows: list[array[float] | None] = []
    for value, null in zip(values, nulls, strict=True):
        row = None if null else _vector(value)
        if row is None and not null:
            return None
        rows.append(row)
    widths = {len(row) for row in rows if row is not None}
    if len(widths) != 1 or 0 in widths:
        return None
    (width,) = widths
    flat, zeros = array("f"), array("f", bytes(4 * width))
    for row in rows:
        flat.extend(zeros if row is None else row)
    return FloatMatrix(width=width, values=flat)


def is_list(cell: Any) -> bool:
    """Tell whether a cell, numpy's as Python's, is a list or set of items."""
    # MonthDayNano is Arrow's, a tuple of three sizes.
    return isinstance(cell, list | tuple | set | frozenset) and type(cell).__name__ != "MonthDayNano"


def _vector(value: Any) -> array[float] | None:
    """Return a list, tuple or array of numbers in 32 bits; None where it is none, or would lose more than digits."""
    items = value.tolist() if hasattr(value, "dtype") and hasattr(value, "tolist") else value
    if not isinstance(items, list | tuple) or not is_list(items):
        return None
    numbers = items if set(map(type, items)) <= _NUMBERS else [_plain(item) for item in items]
    if not set(map(type, numbers)) <= _NUMBERS:
        return None
    try:
        narrow = array("f", numbers)
    except OverflowError:
        return None
    if not all(map(math.isfinite, narrow)):
        return None
    whole = all(short == number for short, number in zip(narrow, numbers, strict=True) if number == int(number))
    return narrow if whole else None


def _plain(item: Any) -> Any:
    """Return numpy's scalars as Python's, without importing numpy."""
    return item.tolist() if hasattr(item, "dtype") and hasattr(item, "tolist") else item
