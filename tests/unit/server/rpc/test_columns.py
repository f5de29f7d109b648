"""Columns on the wire become Arrow's with every digit, or are refused by name and row."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from headstart.v1 import table_pb2 as pb
from headstart_server.core.errors import BadCellError, InvalidInputError
from headstart_server.data.canonical import as_strings
from headstart_server.data.features.cells import BadCells, Where
from headstart_server.data.features.vector import VectorStatistics, transform
from headstart_server.data.tables import table_of_arrow
from headstart_server.rpc.columns import row_count
from headstart_server.rpc.tables import announced, arrow_table

NAN, INF = float("nan"), float("inf")
INT64S = pb.Column(name="c", int64s=pb.Int64Values(values=[2**53 + 1, -(2**63), 0]))
FLOATS = pb.Column(name="c", floats=pb.FloatValues(values=[0.1, 3e38, NAN]))
DOUBLES = pb.Column(name="c", doubles=pb.DoubleValues(values=[0.1, 1e300, NAN]))
SETS = pb.Column(
    name="c",
    string_lists=pb.StringLists(rows=[pb.StringValues(values=items) for items in (["new york", "a"], [], ["b"])]),
)


def vectors(width: int, *values: float, **more: Any) -> pb.Column:
    return pb.Column(name="c", vectors=pb.FloatMatrix(width=width, values=values), **more)


def texts_of(column: pb.Column) -> list[str | None]:
    rows = table_of_arrow(arrow_table(pb.Table(columns=[column]), "table"), "table").rows
    found: list[str | None] = as_strings(rows.column("c").combine_chunks()).to_pylist()
    return found


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (INT64S, ["9007199254740993", "-9223372036854775808", "0"]),
        (FLOATS, ["0.1", "3e+38", None]),
        (DOUBLES, ["0.1", "1e+300", None]),
        (SETS, ["new york\x1fa\x1f", "\x1f", "b\x1f"]),
        (vectors(2, 0.1, 1, NAN, 2, 3, 4), ["0.1\x1f1\x1f", None, "3\x1f4\x1f"]),
    ],
    ids=["int64s", "floats", "doubles", "sets", "vectors"],
)
def test_every_kind_arrives_with_its_digits(column: pb.Column, texts: list[str | None]) -> None:
    assert row_count(column) == 3
    assert texts_of(column) == texts
    flagged = pb.Column(nulls=[True, False, False])
    flagged.MergeFrom(column)
    assert texts_of(flagged) == [None, *texts[1:]]


def test_vectors_reach_their_feature_as_numbers() -> None:
    values = np.random.default_rng(0).normal(size=(100, 768)).astype(np.float32)
    message = pb.Table(columns=[vectors(768, *values.ravel().tolist())])
    assert 4 * 100 * 768 < message.ByteSize() < 4 * 100 * 768 + 64
    assert announced(message) == (100, message.ByteSize())
    column = table_of_arrow(arrow_table(message, "table"), "table", vectors=True).rows.column("c").combine_chunks()
    where = Where("table", "c", lambda row: f"row {row + 1}")
    assert (transform(column, VectorStatistics(768, None), where) == values).all()
    assert (transform(column.slice(7, 2), VectorStatistics(768, None), where, 7) == values[7:9]).all()
    with pytest.raises(BadCellError, match=r"column 'c', row 8: holds 768 numbers, expected 3"):
        transform(column.slice(7, 2), VectorStatistics(3, None), where, 7)


@pytest.mark.parametrize(
    ("column", "field", "words"),
    [
        (pb.Column(name="c"), "table.columns[0]", "holds no values"),
        (vectors(0, 1, 2), "table.columns[0].vectors.width", "has width 0"),
        (vectors(-2, 1, 2), "table.columns[0].vectors.width", "has width -2"),
        (vectors(-2), "table.columns[0].vectors.width", "has width -2"),
        (vectors(2, 1, 2, 3), "table.columns[0].vectors", "holds 3 numbers, which are no whole vectors of 2"),
        (vectors(7, 1, 2, 3), "table.columns[0].vectors", "holds 3 numbers, which are no whole vectors of 7"),
        (vectors(2, 1, 2, nulls=[True, False]), "table.columns[0].nulls", "has 2 flags for 1 values"),
        (vectors(2, 1, 2, 3, -INF), "table.columns[0]", "'c', row 2: -inf, number 2 of the vector, is not finite"),
        (pb.Column(name="c", floats=pb.FloatValues(values=[1, INF])), "table.columns[0]", "'c', row 2: inf is not"),
        (pb.Column(name="c", doubles=pb.DoubleValues(values=[-INF])), "table.columns[0]", "'c', row 1: -inf is not"),
        (
            pb.Column(name="c", string_lists=pb.StringLists(rows=[pb.StringValues(values=["a\x1fb"])])),
            "table.columns[0]",
            "'c', row 1: item 'a\\x1fb' holds the character U+001F",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(column: pb.Column, field: str, words: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        arrow_table(pb.Table(columns=[column]), "table")
    assert refused.value.field == field
    assert words in refused.value.message


def test_bad_cells_are_noted_by_row_where_rows_may_be_left_out() -> None:
    columns = [
        pb.Column(name="a", doubles=pb.DoubleValues(values=[1, INF, 3, -INF])),
        pb.Column(name="b", floats=pb.FloatValues(values=[INF, INF, 3, 4]), nulls=[True, False, False, False]),
        pb.Column(name="v", vectors=pb.FloatMatrix(width=1, values=[1, 2, INF, NAN])),
    ]
    bad: BadCells = {}
    rows = arrow_table(pb.Table(columns=columns), "table", bad)
    assert {row: error.message.split(":")[1].strip() for row, error in bad.items()} == {
        1: "'a', row 2",
        2: "'v', row 3",
        3: "'a', row 4",
    }
    assert rows.column("a").to_pylist() == [1, None, 3, None]
    assert rows.column("b").to_pylist() == [None, None, 3, 4]


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="'b' has 1 rows, 'a' has 2"):
        arrow_table(
            pb.Table(
                columns=[
                    pb.Column(name="a", int64s=pb.Int64Values(values=[1, 2])),
                    pb.Column(name="b", vectors=pb.FloatMatrix(width=2, values=[1, 2])),
                ]
            ),
            "table",
        )


@pytest.mark.parametrize("compression", [None, "zstd"])
@pytest.mark.parametrize(
    "rows",
    [
        pa.table({"photo": pa.array([bytes(200_000)], pa.binary())}),
        pa.table({"x": pa.array([7] * 10_000, pa.int8())}),
        pa.table({"x": pa.chunked_array([["a", "b"], ["c"] * 500, []])}),
        pa.table({"x": pa.array(["a", "b", "a"]).dictionary_encode()}),
        pa.table({"x": pa.array([], pa.float64())}),
    ],
    ids=["an image", "small numbers", "batches", "a dictionary", "nothing"],
)
def test_rows_of_arrow_are_counted_as_its_batches_say(rows: pa.Table, compression: str | None) -> None:
    """Quotas and admission go by them: a large cell is no hundred rows, and ten thousand numbers are not forty."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(rows)
    message = pb.Table(arrow_ipc=sink.getvalue())
    assert announced(message) == (rows.num_rows, message.ByteSize())


def test_rows_of_bytes_that_are_no_stream_or_of_thousands_of_batches_are_guessed() -> None:
    sink = io.BytesIO()
    one = pa.record_batch({"x": [1.0]})
    with pa.ipc.new_stream(sink, one.schema) as writer:
        for _ in range(2_000):
            writer.write_batch(one)
    for data in (b"no stream at all" * 100, sink.getvalue(), sink.getvalue()[:500]):
        message = pb.Table(arrow_ipc=data)
        rows, size = announced(message)
        assert size == message.ByteSize() and 0 < rows <= size
