"""Tables: converted once per content, read again from disk, laid end to end."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.canonical import CHUNK_ROWS
from headstart_server.data.columnar import read_ipc_bytes
from headstart_server.data.tables import Sources, open_table, table_of_arrow
from headstart_server.data.texts import TextColumn
from hypothesis import given
from hypothesis import strategies as st

from tests.support.tables import table_of


def _cached(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "cache").glob("*") if path.suffix != ".sha256")


def test_equal_bytes_are_converted_once_whatever_the_file_is_called(tmp_path: Path) -> None:
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_bytes(b"a\n1\n")
        open_table(tmp_path / name, None, tmp_path / "cache", "dataset")
    assert len(_cached(tmp_path)) == 1


def test_a_truncated_conversion_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b"a\n1\n2\n")
    open_table(path, None, tmp_path / "cache", "dataset")
    [converted] = _cached(tmp_path)
    converted.write_bytes(converted.read_bytes()[:-20])
    assert open_table(path, None, tmp_path / "cache", "dataset").rows.column("a").to_pylist() == ["1", "2"]


def test_a_conversion_with_one_flipped_bit_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b"a\n1\n2\n")
    open_table(path, None, tmp_path / "cache", "dataset")
    [converted] = _cached(tmp_path)
    whole = converted.read_bytes()
    for place in range(0, len(whole), 50):
        converted.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        os.utime(converted, ns=(place, place))  # however coarse the clock of the file system is
        assert open_table(path, None, tmp_path / "cache", "dataset").rows.column("a").to_pylist() == ["1", "2"]
        assert converted.read_bytes() == whole


def test_rows_are_validated_before_anything_measures_or_copies_them() -> None:
    calls: list[str] = []

    class Recorded:
        """Rows that note what is asked of them."""

        def __init__(self, rows: pa.Table) -> None:
            self._rows = rows

        def __getattr__(self, name: str) -> object:
            calls.append(name)
            return getattr(self._rows, name)

    table_of_arrow(Recorded(pa.table({"a": [["x"], ["y", "z"]]})), "table")
    assert calls[0] == "validate"
    assert "nbytes" in calls[1:]


def test_an_ipc_stream_is_validated_where_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[pa.Table] = []

    def record(rows: pa.Table, field: str) -> pa.Table:
        seen.append(rows)
        return rows

    monkeypatch.setattr("headstart_server.data.columnar.validated", record)
    rows = pa.table({"a": [["x"], None]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    assert read_ipc_bytes(sink.getvalue().to_pybytes(), "table") is seen[0]


def test_a_refused_file_leaves_no_conversion_behind(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b"a,b\n1,2\n1,2,3\n")
    with pytest.raises(InvalidInputError):
        open_table(path, None, tmp_path / "cache", "dataset")
    assert _cached(tmp_path) == []


def test_a_missing_column_is_named_with_those_that_are_there() -> None:
    with pytest.raises(InvalidInputError, match="did you mean 'review'") as caught:
        table_of(review=["x"], label=["y"]).require("reviw", "input_features[0].name")
    assert caught.value.reason == "MISSING_COLUMN"
    assert caught.value.field == "input_features[0].name"


def test_tables_without_rows_are_refused() -> None:
    for rows in (pa.table({"a": pa.array([], pa.string())}), pa.table({})):
        with pytest.raises(InvalidInputError, match="no rows"):
            table_of_arrow(rows, "table")


def test_chunks_cover_a_column_in_order() -> None:
    size = CHUNK_ROWS + 10
    table = table_of(a=list(map(str, range(size))))
    chunks = list(table.chunks("a"))
    assert [(start, len(values)) for start, values in chunks] == [(0, CHUNK_ROWS), (CHUNK_ROWS, 10)]
    assert pa.concat_arrays([values for _, values in chunks]).to_pylist() == list(map(str, range(size)))


def test_rows_of_several_tables_lie_one_after_the_other_and_errors_name_theirs() -> None:
    train, test = table_of(a=["1", "2"], b=["x", "y"]), table_of(b=["z"], a=["3"], more=["m"])
    sources = Sources((train, test), ("dataset", "test_dataset"))
    assert sources.rows.rows.to_pydict() == {"a": ["1", "2", "3"], "b": ["x", "y", "z"]}
    assert [sources.locate(row) for row in range(3)] == ["row 1 of dataset", "row 2 of dataset", "row 1 of dataset"]


def test_columns_of_different_types_meet_as_text() -> None:
    sources = Sources((table_of(a=[1.5, 2.0, None]), table_of(a=["3", "NA", "x"])), ("dataset", "test_dataset"))
    assert sources.rows.rows.column("a").to_pylist() == ["1.5", "2", None, "3", "NA", "x"]


def test_bytes_do_not_meet_text() -> None:
    sources = Sources((table_of(a=[b"\xff"]), table_of(a=["x"])), ("dataset", "test_dataset"))
    with pytest.raises(InvalidInputError, match="column 'a'"):
        _ = sources.rows


@given(st.lists(st.lists(st.text(max_size=3), max_size=5), max_size=5), st.data())
def test_texts_are_fetched_by_row_in_the_order_asked(blocks: list[list[str]], data: st.DataObject) -> None:
    flat = [text for block in blocks for text in block]
    column = TextColumn((0, pa.array(block, pa.large_string())) for block in blocks)
    assert len(column) == len(flat)
    rows = data.draw(st.lists(st.integers(0, len(flat) - 1), max_size=10)) if flat else []
    assert column.texts(np.array(rows, np.int64)) == [flat[row] for row in rows]
