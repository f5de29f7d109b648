"""Rows that cannot be read are found each by itself, and rows are not read again for each of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from headstart_server.core.errors import BadCellError, InvalidInputError, Violation, invalid
from headstart_server.data.tables import Table, table_of_arrow
from headstart_server.serving.bad_rows import refused_rows
from headstart_server.serving.predictor import Predictor
from hypothesis import given
from hypothesis import strategies as st

from tests.support.bundles import saved_bundle
from tests.unit.server.serving.test_pool import opened


class Column:
    """Numbers of which the negative ones are bad; counts how many rows are read."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers, self.rows_read = numbers, 0

    def read(self, start: int, end: int) -> None:
        self.rows_read += end - start
        for row in range(start, end):
            if self.numbers[row] < 0:
                raise BadCellError(Violation("table", f"row {row} is bad"))


@given(st.lists(st.integers(-1, 3), min_size=1, max_size=200))
def test_every_bad_row_is_found_with_its_own_error(numbers: list[int]) -> None:
    column = Column(numbers)
    found = refused_rows(column.read, len(numbers))
    expected = [row for row, number in enumerate(numbers) if number < 0]
    assert list(found) == expected
    assert [error.message for error in found.values()] == [f"table: row {row} is bad" for row in expected]
    assert column.rows_read <= len(numbers) * (math.ceil(math.log2(len(numbers))) + 1)


def test_sound_rows_are_read_once() -> None:
    column = Column([1] * 1000)
    assert refused_rows(column.read, 1000) == {}
    assert column.rows_read == 1000


def test_what_is_wrong_with_a_whole_column_is_no_matter_of_rows() -> None:
    def read(start: int, end: int) -> None:
        raise invalid("table", "is no table")

    with pytest.raises(InvalidInputError, match="is no table"):
        refused_rows(read, 8)


@pytest.fixture
def predictor(tmp_path: Path, tiny_bert: Path) -> Predictor:
    """A model of a text `t` and a number `x`."""
    saved_bundle(tmp_path, tiny_bert, trainable=False, name="m1")
    return opened(tmp_path)[0].get("", "m1")


def table_of(**columns: list[Any]) -> Table:
    return table_of_arrow(pa.table(columns), "table")


def test_a_model_tells_every_row_that_it_would_refuse(predictor: Predictor) -> None:
    table = table_of(t=["a", None, "c", "d"], x=["1", "many", "NA", "inf"])
    found = predictor.refused(table)
    assert [(row, error.message) for row, error in found.items()] == [
        (1, "table: column 'x', row 2: 'many' is not a number; correct it or use type category"),
        (3, "table: column 'x', row 4: 'inf' is not finite; use a finite number or leave it empty"),
    ]
    with pytest.raises(BadCellError, match="row 2"):
        predictor.rows(table)
    assert predictor.refused(table_of(t=["a"], x=[1.0])) == {}


def test_a_column_that_is_missing_is_no_matter_of_rows(predictor: Predictor) -> None:
    with pytest.raises(InvalidInputError, match="'x' is not in table"):
        predictor.refused(table_of(t=["a", "b"]))
