"""Values of every kind that people bring, and what each of them means as a category, a set's items or a label."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

UTC, PARIS = dt.UTC, dt.timezone(dt.timedelta(hours=1))


@dataclass(frozen=True)
class Kind:
    """Cells of one kind and the canonical text of each; None is a missing cell.

    `items` says that texts are the items of a list. `separator` is what a feature would have to name for files of text
    alone, in which a list is written with it.
    """

    name: str
    cells: tuple[Any, ...]
    texts: tuple[Any, ...]
    items: bool = False
    separator: str | None = None

    def __str__(self) -> str:
        return self.name


KINDS: tuple[Kind, ...] = (
    Kind("text", ("ham", "spam", "007", " a b", None, "NA"), ("ham", "spam", "007", " a b", None, "NA")),
    Kind("text like numbers", ("1.10", "1.1", "01", None), ("1.10", "1.1", "01", None)),
    Kind("integer", (1, -2, 0, None), ("1", "-2", "0", None)),
    Kind("integer above 2^53", (2**53 + 1, 2**53 + 3, None), ("9007199254740993", "9007199254740995", None)),
    Kind("integer of 64 bits", (2**63 - 1, -(2**63)), ("9223372036854775807", "-9223372036854775808")),
    Kind("whole float", (1.0, -2.0, 3e15, None), ("1", "-2", "3000000000000000", None)),
    Kind("float", (0.1, 2.5, 1e-7, 1e22, None), ("0.1", "2.5", "0.0000001", "10000000000000000000000", None)),
    Kind("boolean", (True, False, None), ("true", "false", None)),
    Kind(
        "decimal",
        (Decimal("1.50"), Decimal("9007199254740993.25"), Decimal("-2.00"), None),
        ("1.5", "9007199254740993.25", "-2", None),
    ),
    Kind("date", (dt.date(2020, 1, 2), dt.date(1969, 12, 31), None), ("2020-01-02", "1969-12-31", None)),
    Kind(
        "time",
        (dt.time(3, 4, 5), dt.time(3, 4, 5, 500_000), dt.time(0, 0), None),
        ("03:04:05", "03:04:05.5", "00:00:00", None),
    ),
    Kind(
        "timestamp",
        (dt.datetime(2020, 1, 2, 3, 4, 5), dt.datetime(2020, 1, 2), dt.datetime(2020, 1, 2, 3, 4, 5, 500_000), None),
        ("2020-01-02 03:04:05", "2020-01-02", "2020-01-02 03:04:05.5", None),
    ),
    Kind(
        "timestamp with zone",
        (dt.datetime(2020, 1, 2, 4, 4, 5, tzinfo=PARIS), dt.datetime(2020, 1, 1, 1, 0, tzinfo=PARIS), None),
        ("2020-01-02 03:04:05Z", "2020-01-01 00:00:00Z", None),
    ),
    Kind(
        "duration",
        (dt.timedelta(days=1, hours=2, seconds=4.5), dt.timedelta(seconds=-1), None),
        ("1 days 02:00:04.5", "-1 days 23:59:59", None),
    ),
    Kind(
        "UUID",
        (uuid.UUID(int=7), uuid.UUID(int=2**127), None),
        ("00000000-0000-0000-0000-000000000007", "80000000-0000-0000-0000-000000000000", None),
    ),
    Kind(
        "list of texts",
        (["new york", "paris"], ["a"], [], None),
        (("new york", "paris"), ("a",), (), None),
        items=True,
        separator="|",
    ),
    Kind("list of integers", ([1, 2], [3], None), (("1", "2"), ("3",), None), items=True, separator="|"),
    Kind("list of floats", ([1.0, 0.1], [2.5], None), (("1", "0.1"), ("2.5",), None), items=True, separator="|"),
    Kind("vector", ([1.0, 0.1], [2.5, -3.0]), (("1", "0.1"), ("2.5", "-3")), items=True, separator="|"),
    Kind("vector or nothing", ([1.0, 0.1], None), (("1", "0.1"), None), items=True, separator="|"),
    Kind("vector of integers", ([1, 2], [2**24, 0]), (("1", "2"), ("16777216", "0")), items=True, separator="|"),
    Kind(
        "vector of large integers",
        ([2**53 + 1, 2], [3, 4]),
        (("9007199254740993", "2"), ("3", "4")),
        items=True,
        separator="|",
    ),
    Kind(
        "list of dates",
        ([dt.date(2020, 1, 2)], [dt.date(2021, 1, 2), dt.date(2020, 1, 2)], None),
        (("2020-01-02",), ("2021-01-02", "2020-01-02"), None),
        items=True,
        separator="|",
    ),
)
