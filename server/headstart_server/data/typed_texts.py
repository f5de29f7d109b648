"""Texts of decimals, dates, times, durations and UUIDs: one per value, whatever unit or scale its column has."""

import uuid
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headstart_server.data.spellings import duration_text

_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def is_spelled(kind: pa.DataType) -> bool:
    """Whether a type is one of those that `spelled` writes."""
    tests = (pa.types.is_decimal, pa.types.is_timestamp, pa.types.is_date, pa.types.is_time, pa.types.is_duration)
    return isinstance(kind, pa.UuidType) or any(test(kind) for test in tests)


def spelled(column: pa.Array) -> pa.Array:
    """A column as large_string: decimals exact without zeros at the end, dates and times in ISO 8601 with a space.

    A time zone is told in UTC (`Z`), midnight without a zone as the day alone, fractions of a second without zeros at
    their end, durations as pandas writes them (`1 days 02:03:04.5`).
    """
    kind = column.type
    if isinstance(kind, pa.UuidType):
        return _each(column.storage, lambda value: str(uuid.UUID(bytes=value)))
    if pa.types.is_decimal(kind):
        return _each(column, lambda value: _plain(format(value, "f")))
    if pa.types.is_duration(kind):
        unit = _NANOSECONDS[kind.unit]
        return _each(column.cast(pa.int64()), lambda value: duration_text(value * unit))
    if pa.types.is_date(kind):
        return column.cast(pa.date32()).cast(pa.large_string())
    zone = kind.tz if pa.types.is_timestamp(kind) else None
    if zone is not None:
        # The same moments: only the zone in which they are told changes.
        column = column.cast(pa.timestamp(kind.unit, "UTC"))
    texts = pc.replace_substring_regex(column.cast(pa.large_string()), r"(\.[0-9]*?)0+(Z?)$", r"\1\2")
    texts = pc.replace_substring_regex(texts, r"\.(Z?)$", r"\1")
    # Texts with a zone end in Z and so keep their midnight: it is a moment, not a day.
    return pc.replace_substring_regex(texts, " 00:00:00$", "") if pa.types.is_timestamp(kind) else texts


def _plain(digits: str) -> str:
    text = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return "0" if text == "-0" else text


def _each(column: pa.Array, write: Callable[[Any], str]) -> pa.Array:
    return pa.array([None if value is None else write(value) for value in column.to_pylist()], pa.large_string())
