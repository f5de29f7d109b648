"""What a column of a request holds, as the caller would write it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headstart.v1.table_pb2 import Column
from headstart.values.table import cells_of


def values_of(column: Column) -> list[Any]:
    """Read a column as a server would."""
    kind = column.WhichOneof("values")
    assert kind is not None
    values = list(cells_of(column))
    nulls: Sequence[bool] = column.nulls or [False] * len(values)
    return [None if null else value for null, value in zip(nulls, values, strict=True)]
