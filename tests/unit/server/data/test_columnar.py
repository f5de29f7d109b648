"""Parquet and Arrow files become the same columns as text, or are refused as what they are: damaged, or odd."""

import datetime
import decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.formats import Format, read_batches
from headstart_server.data.tables import Table, open_table, table_of_arrow
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.canonical import canonical_batch
from tests.support.tables import cells_of, read_bytes, refusal

RICH = pa.table(
    {
        "int": pa.array([1, None, -3], pa.int8()),
        "big": pa.array([2**63, 0, 1], pa.uint64()),
        "float": pa.array([1.5, float("nan"), None], pa.float32()),
        "half": pa.array(np.array([1.5, 2, 3], np.float16)),
        "decimal": pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("2.00")]),
        "bool": pa.array([True, None, False]),
        "text": pa.array(["x", None, ""], pa.string()),
        "view": pa.array(["x", None, ""], pa.string_view()),
        "dictionary": pa.array(["x", None, "y"]).dictionary_encode(),
        "null": pa.nulls(3),
        "bytes": pa.array([b"\xff", None, b""], pa.binary()),
        "fixed": pa.array([b"\xff\0", None, b"ab"], pa.binary(2)),
        "time": pa.array([datetime.datetime(2020, 1, 2, 3, 4), None, None], pa.timestamp("ms")),
        "date": pa.array([datetime.date(2020, 1, 2), None, None]),
        "ints": pa.array([[1, 2], None, []], pa.list_(pa.int32())),
        "words": pa.array([["a b"], ["a", None, "c d"], []], pa.large_list(pa.string())),
        "vector": pa.array([[1.0, 2.5], [3.0, 4.0], None], pa.list_(pa.float32(), 2)),
        "struct": pa.array([{"b": 1, "a": "x"}, None, {"b": None, "a": None}]),
    }
)
RICH_CELLS: dict[str, list[object]] = {
    "int": ["1", None, "-3"],
    "big": [str(2**63), "0", "1"],
    "half": [1.5, 2.0, 3.0],
    "decimal": ["1.25", None, "2"],
    "bool": ["true", None, "false"],
    "text": ["x", None, None],
    "view": ["x", None, None],
    "dictionary": ["x", None, "y"],
    "null": [None, None, None],
    "bytes": [b"\xff", None, b""],
    "fixed": [b"\xff\0", None, b"ab"],
    "time": ["2020-01-02 03:04:00", None, None],
    "date": ["2020-01-02", None, None],
    "ints": ["1\x1f2\x1f", None, "\x1f"],
    "words": ["a b\x1f", "a\x1f\x1fc d\x1f", "\x1f"],
    "vector": ["1\x1f2.5\x1f", "3\x1f4\x1f", None],
    "struct": ['{"a": "x", "b": 1}', None, '{"a": null, "b": null}'],
}


def _check_rich(table: Table, *, without: tuple[str, ...] = ()) -> None:
    found = cells_of(table)
    floats = found.pop("float")
    assert floats[0] == 1.5 and floats[2] is None and floats[1] != floats[1]
    assert found == {name: values for name, values in RICH_CELLS.items() if name not in without}


def test_every_arrow_type_has_a_reading(tmp_path: Path) -> None:
    path = tmp_path / "file.arrow"
    with pa.ipc.new_file(str(path), RICH.schema) as writer:
        writer.write_table(RICH)
    _check_rich(read_bytes(tmp_path, "f.arrow", path.read_bytes()))


def test_an_arrow_stream_is_read_as_an_arrow_file(tmp_path: Path) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, RICH.schema) as writer:
        writer.write_table(RICH, max_chunksize=1)
    _check_rich(read_bytes(tmp_path, "f.arrow", sink.getvalue().to_pybytes()))


def test_feather_is_arrow(tmp_path: Path) -> None:
    pyarrow.feather.write_feather(RICH.select(["int", "text"]), str(tmp_path / "x"), compression="lz4")
    table = read_bytes(tmp_path, "f.feather", (tmp_path / "x").read_bytes())
    assert cells_of(table) == {"int": ["1", None, "-3"], "text": ["x", None, None]}


def test_every_parquet_type_has_a_reading(tmp_path: Path) -> None:
    rich = RICH.drop_columns(["view"])
    pyarrow.parquet.write_table(rich, tmp_path / "x", row_group_size=2)
    _check_rich(read_bytes(tmp_path, "f.parquet", (tmp_path / "x").read_bytes()), without=("view",))


def test_run_end_encoded_columns_are_decoded() -> None:
    encoded = pa.compute.run_end_encode(pa.array(["x", "x", "y"]))
    batch = canonical_batch(pa.RecordBatch.from_arrays([encoded], names=["a"]), "f")
    assert batch.column(0).to_pylist() == ["x", "x", "y"]


def test_offsets_that_leave_the_buffer_are_refused_before_they_are_followed() -> None:
    honest = pa.array(["abc", "defgh"], pa.string())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema({"a": pa.string()})) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays([honest], names=["a"]))
    true_offsets, forged_offsets = (np.array([0, 3, end], np.int32).tobytes() for end in (8, 1 << 20))
    assert sink.getvalue().to_pybytes().count(true_offsets) == 1
    forged = sink.getvalue().to_pybytes().replace(true_offsets, forged_offsets)
    [read] = list(pa.ipc.open_stream(forged))
    with pytest.raises(InvalidInputError, match="damaged"):
        canonical_batch(read, "f")


@pytest.mark.parametrize("name", ["f.parquet", "f.arrow", "f.feather"])
def test_other_bytes_under_a_binary_ending_are_refused(tmp_path: Path, name: str) -> None:
    for data in (b"a,b\n1,2\n", b"PAR1" + b"\0" * 100 + b"PAR1", b"ARROW1\0\0" + b"\xff" * 64):
        assert "not readable" in refusal(tmp_path, name, data)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255), st.sampled_from(["parquet", "arrow"]))
def test_a_damaged_binary_file_is_read_or_refused(tmp_path: Path, place: int, change: int, ending: str) -> None:
    path = tmp_path / "whole"
    table = pa.table({"a": ["x", "yy", None], "b": [1, 2, 3]})
    if ending == "parquet":
        pyarrow.parquet.write_table(table, path, compression="snappy")
    else:
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= change
    (tmp_path / "damaged").write_bytes(data)
    try:
        for batch in read_batches(tmp_path / "damaged", Format(ending), "f"):
            batch.validate(full=True)
    except InvalidInputError:
        pass


ODD = {
    "interval": pa.array([None, (1, 2, 3)], pa.month_day_nano_interval()),
    "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int8())),
    "wide decimal": pa.array([decimal.Decimal("1.50"), None], pa.decimal256(60, 10)),
    "nested": pa.array([[[1, 2], [3]], None]),
    "union": pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["a", "b"])]),
    "view": pa.array(["a", None], pa.string_view()),
    "binary view": pa.array([b"a", None], pa.binary_view()),
    "list view": pa.array([[1], None], pa.list_view(pa.int64())),
    "seconds of a century": pa.array([10**11, None], pa.timestamp("s")),
}


@pytest.mark.parametrize("name", ODD)
def test_a_column_of_any_type_may_lie_unused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "rows.arrow"
    rows = pa.table({"odd": ODD[name], "text": ["a", "b"]})
    with pa.ipc.new_stream(path, rows.schema) as writer:
        writer.write_table(rows)
    table = open_table(path, None, tmp_path / "tables", "dataset")
    assert cells_of(table)["text"] == ["a", "b"]


def test_a_column_without_text_is_refused_where_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "rows.arrow"
    rows = pa.table({"odd": ODD["interval"], "text": ["a", "b"]})
    with pa.ipc.new_stream(path, rows.schema) as writer:
        writer.write_table(rows)
    table = open_table(path, None, tmp_path / "tables", "dataset")
    table.require("text", "input_features[0].name")
    with pytest.raises(InvalidInputError, match=r"column 'odd' of type month_day_nano_interval is not readable") as bad:
        table.require("odd", "input_features[0].name")
    assert bad.value.field == "input_features[0].name"
    with pytest.raises(InvalidInputError, match="not readable"):
        table_of_arrow(rows, "table").require("odd", "table")
