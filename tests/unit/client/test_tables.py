"""Python values reach the server as they were, or are refused by column and row."""

from __future__ import annotations

import datetime
import decimal
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from headstart import InvalidArgument
from headstart.files import arrow_files
from headstart.v1.table_pb2 import Table
from headstart.values.column import column_of
from headstart.values.table import row_count, table_of
from hypothesis import given
from hypothesis import strategies as st

from tests.support.table_values import values_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
EXACT_INTEGERS = st.integers(-(2**53), 2**53)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
FLOATS32 = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(
    st.one_of(
        *(
            st.lists(st.one_of(st.none(), kind))
            for kind in (TEXT, st.one_of(FLOATS, EXACT_INTEGERS), st.booleans(), st.binary())
        )
    )
)
def test_values_of_one_type_survive_the_round_trip(values: list[Any]) -> None:
    assert values_of(column_of("c", values)) == values


@given(st.lists(st.one_of(TEXT, st.integers(), FLOATS, st.booleans(), st.none()), min_size=1))
def test_mixed_values_arrive_in_full_as_numbers_or_text(values: list[Any]) -> None:
    for value, sent in zip(values, values_of(column_of("c", values)), strict=True):
        same_number = isinstance(value, float) and float(sent) == value
        text = str(value).lower() if isinstance(value, bool) else str(value)
        assert same_number or sent in (value, text)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b"], "strings"),
        ([1, 2.5, None], "doubles"),
        ([True, None, False], "bools"),
        ([b"a", bytearray(b"b"), None], "bytes"),
        ([True, 1], "strings"),
        ([1, "a"], "strings"),
        ([2**53 + 1, 1, None], "int64s"),
        ([2**63 - 1, -(2**63)], "int64s"),
        ([2**63, 1], "strings"),
        ([2**53 + 1, 0.5], "strings"),
        (list(np.array([0.1, 2], np.float32)), "floats"),
        ([np.float32(0.1), 0.1], "doubles"),
        (list(np.array([1, 2], np.int64)), "int64s"),
        ([["a"], {"b", "c"}, [], None], "string_lists"),
        ([["a"], "b"], "strings"),
        ([[1.5, 2], (3, 4), None], "vectors"),
        (list(np.ones((2, 3), np.float64)), "vectors"),
        ([[1.5], [2, 3]], "string_lists"),
        ([[1.5, math.nan]], "string_lists"),
        ([[1e39]], "string_lists"),
        ([[10**400]], "string_lists"),
        ([[2**24 + 1]], "string_lists"),
        ([[True]], "string_lists"),
        ([{1, 2}], "string_lists"),
        ([[], []], "string_lists"),
        ([None, None], "strings"),
        ([], "strings"),
        ([datetime.date(2026, 1, 2)], "strings"),
    ],
)
def test_a_column_takes_the_type_that_holds_every_value(values: list[Any], kind: str) -> None:
    assert column_of("c", values).WhichOneof("values") == kind


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))).filter(any))
def test_large_integers_keep_every_digit(values: list[int | None]) -> None:
    assert values_of(column_of("id", values)) == values


@given(
    st.integers(1, 5).flatmap(lambda width: st.lists(st.lists(FLOATS32, min_size=width, max_size=width), min_size=1))
)
def test_lists_of_equally_many_numbers_travel_as_vectors(rows: list[list[float]]) -> None:
    for values in (rows, [tuple(row) for row in rows], list(np.array(rows)), list(np.array(rows, np.float32))):
        column = column_of("v", values)
        assert column.vectors.width == len(rows[0])
        assert values_of(column) == rows


def test_a_vector_that_is_missing_is_flagged_and_filled() -> None:
    column = column_of("v", [None, [1, 2], None])
    assert (list(column.vectors.values), list(column.nulls)) == ([0, 0, 1, 2, 0, 0], [True, False, True])


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_100_vectors_of_768_numbers_take_4_bytes_each(kind: Any) -> None:
    table = table_of({"v": np.random.default_rng(0).normal(size=(100, 768)).astype(kind)})
    assert 4 * 100 * 768 < table.ByteSize() < 4 * 100 * 768 + 64
    assert row_count(table) == 100


def test_nan_and_pandas_missing_values_are_nulls() -> None:
    missing = type("NAType", (), {})()
    assert values_of(column_of("c", ["a", math.nan, missing, None])) == ["a", None, None, None]
    assert values_of(column_of("c", [1.5, math.nan])) == [1.5, None]


def test_no_null_mask_is_sent_where_nothing_is_missing() -> None:
    assert not column_of("c", ["a"]).nulls


def test_lists_travel_as_lists_of_texts() -> None:
    assert values_of(column_of("tags", [["b", "new york"], {"d", "c"}, [1.5, 2], [], ["a", None]])) == [
        ["b", "new york"],
        ["c", "d"],
        ["1.5", "2"],
        [],
        ["a", ""],
    ]


def test_lists_among_texts_travel_with_a_mark_behind_every_item() -> None:
    assert values_of(column_of("tags", ["x", ["b", "new york"], [], ["a", None]])) == [
        "x",
        "b\x1fnew york\x1f",
        "\x1f",
        "a\x1f\x1f",
    ]


def test_other_values_travel_in_textual_form() -> None:
    assert values_of(column_of("price", [decimal.Decimal("1.10"), 2])) == ["1.10", "2"]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (["a", object()], "row 1: object"),
        (["a", object()], "row 1: object"),
        ([1.0, math.inf], "row 1: inf is not a finite number"),
        ([b"a", "b"], "row 1: str 'b' among bytes"),
        (["a", "\ud800"], "row 1: text that UTF-8 cannot hold"),
        (["a", ["b", ["c"]]], "row 1: a list holds list"),
        ([["a"], ["x\x1fy"]], r"row 1: item 'x\\x1fy' holds the character"),
        ([["a"], [b"y"]], "row 1: a list holds bytes"),
        ([["a"], ["\ud800"]], "row 1: text that UTF-8 cannot hold"),
        (["a", ["x\x1fy"]], r"row 1: item 'x\\x1fy' holds the character"),
    ],
)
def test_impossible_values_are_refused_by_column_and_row(values: list[Any], why: str) -> None:
    with pytest.raises(InvalidArgument, match=f"column 'c', {why}") as refused:
        column_of("c", values)
    assert refused.value.violations[0].field == "c[1]"


def test_rows_become_columns_and_what_a_row_lacks_is_missing() -> None:
    table = table_of([{"a": 1, "b": "x"}, {"c": True, "a": 2}])
    assert {column.name: values_of(column) for column in table.columns} == {
        "a": [1, 2],
        "b": ["x", None],
        "c": [None, True],
    }
    assert [column.name for column in table.columns] == ["a", "b", "c"]


def test_a_table_is_taken_as_it_is() -> None:
    table = Table(columns=[column_of("a", [1])])
    assert table_of(table) is table


def test_columns_of_different_lengths_are_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="'a' 1, 'b' 2"):
        table_of({"a": [1], "b": [1, 2]})


@pytest.mark.parametrize("columns", [{1: ["a"]}, {"": ["a"]}, {"a": "text"}, {"a": 5}])
def test_columns_that_are_none_are_refused(columns: Any) -> None:
    with pytest.raises(InvalidArgument):
        table_of(columns)


@pytest.mark.parametrize("rows", ["text", 5, None, [1, 2], [["a"]]])
def test_what_is_no_table_is_a_type_error(rows: Any) -> None:
    with pytest.raises(TypeError):
        table_of(rows)


@pytest.mark.parametrize(("rows", "count"), [({"a": []}, 0), ([], 0), ({"a": [1, 2]}, 2), ({"a": [None]}, 1)])
def test_rows_are_counted(rows: Any, count: int) -> None:
    assert row_count(table_of(rows)) == count


def test_the_rows_of_arrow_bytes_are_the_servers_to_count() -> None:
    assert row_count(Table(arrow_ipc=b"x")) is None


def test_a_dict_is_sent_as_the_server_reads_a_struct() -> None:
    assert values_of(column_of("c", [{"b": 1, "a": "é"}, None])) == ['{"a": "é", "b": 1}', None]


def test_batches_of_a_file_are_validated_before_anything_measures_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    class Batch:
        num_rows = 2

        def validate(self, *, full: bool) -> None:
            calls.append(f"validate {full}")

        @property
        def nbytes(self) -> int:
            calls.append("nbytes")
            return 1

        def slice(self, *_: int) -> Batch:
            return self

    monkeypatch.setattr(arrow_files, "_read_arrow", lambda *_: iter([Batch()]))
    for batch in arrow_files.read_record_batches(tmp_path / "rows.arrow", 10):
        list(arrow_files._parts(batch, 10))

    assert calls == ["validate True", "nbytes"]
