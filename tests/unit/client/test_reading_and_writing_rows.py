"""Rows stream in from files and predictions stream out, exactly."""

from __future__ import annotations

import csv
import math
import struct
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from headstart import InvalidArgument
from headstart.cli.prediction_files import cell_text, float_text, published
from headstart.files.arrow_files import read_tables
from headstart.files.row_files import batches, read_rows
from hypothesis import given
from hypothesis import strategies as st

from tests.support.arrow import read_ipc, write_arrow


def rows_of(tmp_path: Path, name: str, content: bytes) -> list[dict[str, object]]:
    (tmp_path / name).write_bytes(content)
    return list(read_rows(tmp_path / name))


def test_quoted_newlines_byte_order_marks_and_empty_cells_are_read(tmp_path: Path) -> None:
    content = '\ufefftext,price\r\n"a ""b"",\nc",1\r\n\r\né,\r\n'.encode()
    assert rows_of(tmp_path, "a.csv", content) == [{"text": 'a "b",\nc', "price": "1"}, {"text": "é", "price": None}]


def test_a_long_text_is_read_and_the_processes_limit_stays(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    assert rows_of(tmp_path, "a.csv", b"text\n" + b"x" * 300_000 + b"\n") == [{"text": "x" * 300_000}]
    assert csv.field_size_limit() == before


def test_files_with_long_texts_are_read_in_turns(tmp_path: Path) -> None:
    before, readers = csv.field_size_limit(), []
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(b"text\nshort\n" + b"x" * 300_000 + b"\n")
        readers.append(read_rows(tmp_path / name))
    assert [next(each)["text"] for each in readers] == ["short", "short"]
    assert csv.field_size_limit() == before
    assert [[len(row["text"]) for row in each] for each in readers] == [[300_000], [300_000]]
    assert csv.field_size_limit() == before


def test_an_index_without_a_name_is_left_out(tmp_path: Path) -> None:
    assert rows_of(tmp_path, "a.csv", b",a\n0,x\n1,y\n") == [{"a": "x"}, {"a": "y"}]


def test_tabs_and_json_lines_are_read(tmp_path: Path) -> None:
    assert rows_of(tmp_path, "a.tsv", b"a\tb\n1,5\tx\n") == [{"a": "1,5", "b": "x"}]
    assert rows_of(tmp_path, "a.jsonl", b'{"a": 1.5, "b": null}\n\n{"b": ["x"]}\n') == [
        {"a": 1.5, "b": None},
        {"b": ["x"]},
    ]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.csv", b"a,a\n1,2\n", "'a' is named twice"),
        ("a.csv", b",,\n1,2,3\n", "'' is named twice"),
        ("a.csv", b'a\n"open\n', "line 2"),
        ("a.csv", b"a\n\xff\n", "not UTF-8"),
        ("a.csv", b"\na\n1\n", "the first line is blank"),
        ("a.csv", b"", "a.csv is empty"),
        ("a.jsonl", b"[1]\n", "item 1: expected an object, got int"),
        ("a.jsonl", b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "line 1: not JSON"),
        ("a.json", b"[" * 100_000 + b"]" * 100_000, "not JSON"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    with pytest.raises(InvalidArgument, match=why):
        rows_of(tmp_path, name, content)


def test_a_file_is_read_as_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n" + "1\n" * 100_000 + "1,2\n")
    reader = batches(read_rows(path), 10)
    assert [len(next(reader)) for _ in range(3)] == [10, 10, 10]


def test_batches_hold_few_rows_where_texts_are_long() -> None:
    def endless() -> Iterator[dict[str, str]]:
        while True:
            yield {"text": "x" * 1_500_000}

    assert len(next(batches(endless(), 256))) == 2


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "stream.arrow"])
def test_arrow_files_keep_types_nulls_and_order(tmp_path: Path, name: str) -> None:
    columns = {
        "text": ["a", None, "é"] * 40,
        "when": [date(2020, 1, 2)] * 120,
        "exact": [Decimal("1.10"), None, Decimal("2.05")] * 40,
        "tags": [["a"], [], None] * 40,
        "row": list(range(120)),
    }
    table = pa.table(columns)
    tables = list(read_tables(write_arrow(table, tmp_path / name), 50))
    assert [read_ipc(part).num_rows for part in tables] == [50, 50, 20]
    assert pa.concat_tables(map(read_ipc, tables)).equals(table)


def test_arrow_batches_hold_few_rows_where_texts_are_long(tmp_path: Path) -> None:
    table = pa.table({"text": ["x" * 1_500_000] * 8})
    tables = list(read_tables(write_arrow(table, tmp_path / "a.parquet"), 256))
    assert [read_ipc(part).num_rows for part in tables] == [2, 2, 2, 2]
    assert all(len(part.arrow_ipc) < 4_000_000 for part in tables)


def test_a_row_longer_than_a_batch_goes_alone(tmp_path: Path) -> None:
    table = pa.table({"text": ["x" * 5_000_000] * 2})
    assert [read_ipc(part).num_rows for part in read_tables(write_arrow(table, tmp_path / "a.arrow"), 9)] == [1, 1]


@given(st.lists(st.integers(1, 5)), st.integers(1, 7))
def test_batches_lose_and_reorder_nothing(values: list[int], most: int) -> None:
    made = list(batches(({"a": value} for value in values), most))
    assert [row["a"] for batch in made for row in batch] == values
    assert all(0 < len(batch) <= most for batch in made)


@given(st.floats(width=32, allow_nan=False))
def test_a_float32_is_written_short_and_reads_back_the_same(value: float) -> None:
    text = float_text(value)
    assert len(text) <= 16
    assert math.isinf(value) or struct.pack("f", float(text)) == struct.pack("f", value)


@given(st.floats(allow_nan=False))
def test_a_double_that_is_no_float32_reads_back_the_same(value: float) -> None:
    try:
        is_float32 = struct.unpack("f", struct.pack("f", value))[0] == value
    except OverflowError:
        is_float32 = False
    assert is_float32 or float(float_text(value)) == value


def test_sets_and_vectors_are_one_cell() -> None:
    assert cell_text(["a", "b"]) == "a,b"
    assert cell_text([1.0, 0.1]) == "1 0.1"
    cells: list[object] = [True, False, "x", 0.5, []]
    assert [cell_text(cell) for cell in cells] == ["true", "false", "x", "0.5", ""]


def test_a_file_that_fails_half_way_is_not_published(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("before")
    with pytest.raises(RuntimeError), published(target) as file:
        csv.writer(file).writerow(["half"])
        raise RuntimeError
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]
