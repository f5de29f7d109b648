"""The paths by which a column arrives: each writes cells as a user would, and returns the texts that are read."""

from __future__ import annotations

import csv
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
from headstart.files import delimiters
from headstart.files.row_files import read_batches as client_batches
from headstart.v1.table_pb2 import Column, FloatMatrix, FloatValues, Int64Values, StringLists, StringValues
from headstart.v1.table_pb2 import Table as TableMessage
from headstart.values.table import table_of
from headstart_server.core.errors import InvalidInputError, Violation
from headstart_server.data.canonical import as_strings
from headstart_server.data.formats import format_of, read_batches
from headstart_server.data.tables import table_of_arrow
from headstart_server.rpc.tables import arrow_table

from tests.matrix.vectors import Kind

COLUMN = "c"
Texts = list[str | None]
Written = Callable[[Kind, Path], Path]


def texts_of_file(path: Path) -> Texts:
    """A file as the server reads it in training."""
    return [
        text
        for batch in read_batches(path, format_of(path.name, "dataset"), "dataset")
        for text in as_strings(_column(batch)).to_pylist()
    ]


def _column(batch: pa.RecordBatch) -> pa.Array:
    if COLUMN not in batch.schema.names:
        raise InvalidInputError([Violation("dataset", f"column {COLUMN!r} is not in {batch.schema.names}")])
    return batch.column(COLUMN)


def texts_of_message(message: TableMessage) -> Texts:
    """A message as the server reads it, in training and in Predict."""
    table = table_of_arrow(arrow_table(message, "table"), "table")
    return [text for _, part in table.chunks(COLUMN) for text in as_strings(part).to_pylist()]


def texts_of_rows(rows: Any) -> Texts:
    """Rows in memory, as the client sends them."""
    return texts_of_message(table_of(rows))


def texts_of_client_file(path: Path) -> Texts:
    """A file as `headstart predict --data` sends it."""
    found: Texts = []
    for rows in client_batches(path, 2):
        found += texts_of_rows(rows)
    return found


def texts_of_artifact(path: Path) -> Texts:
    """A CSV file as an exported artifact reads it, which holds copies of two modules."""
    sys.modules.setdefault("delimiters", delimiters)
    prediction_csv = importlib.import_module("headstart_server.export.runtime.prediction_csv")
    return [cell or None for cell in prediction_csv.read_columns(path, [COLUMN])[COLUMN]]


def _plain(kind: Kind) -> list[Any]:
    """Cells as files of text alone hold them: lists with their separator in between."""
    if kind.separator is None:
        return list(kind.cells)
    return [None if cell is None else kind.separator.join(map(str, cell)) for cell in kind.cells]


def _delimited(kind: Kind, path: Path, delimiter: str) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, delimiter=delimiter)
        rows.writerow(["row", COLUMN])
        rows.writerows([number, "" if cell is None else cell] for number, cell in enumerate(_plain(kind)))
    return path


def _json_rows(kind: Kind) -> list[dict[str, Any]]:
    return [{COLUMN: cell} for cell in kind.cells]


def _lines(kind: Kind, path: Path) -> Path:
    path.write_text("\n".join(json.dumps(row, default=str) for row in _json_rows(kind)))
    return path


def _array(kind: Kind, path: Path) -> Path:
    path.write_text(json.dumps(_json_rows(kind), default=str))
    return path


def _arrow(kind: Kind) -> pa.Table:
    if kind.name == "UUID":
        storage = pa.array([None if cell is None else cell.bytes for cell in kind.cells], pa.binary(16))
        return pa.table({COLUMN: pa.ExtensionArray.from_storage(pa.uuid(), storage)})
    return pa.table({COLUMN: pa.array(kind.cells)})


def _pandas(kind: Kind) -> pd.DataFrame:
    """Of integers with a missing cell pandas makes floats, unless it is told not to: their last digits are gone."""
    return pd.DataFrame({COLUMN: pd.Series(list(kind.cells), dtype="Int64" if kind.name.startswith("int") else None)})


def _pandas_csv(kind: Kind, path: Path) -> Path:
    cells = _pandas(kind)[COLUMN] if kind.separator is None else pd.Series(_plain(kind))
    pd.DataFrame({COLUMN: cells, "row": range(len(kind.cells))}).to_csv(path, index=False)
    return path


def _pandas_parquet(kind: Kind, path: Path) -> Path:
    _pandas(kind).to_parquet(path)
    return path


def _polars(kind: Kind) -> pl.DataFrame:
    return pl.DataFrame({COLUMN: list(kind.cells)}, strict=False)


def _polars_csv(kind: Kind, path: Path) -> Path:
    pl.DataFrame({COLUMN: _plain(kind), "row": range(len(kind.cells))}, strict=False).write_csv(path)
    return path


def _polars_ipc(compression: Any) -> Written:
    def write(kind: Kind, path: Path) -> Path:
        _polars(kind).write_ipc(path, compression=compression)
        return path

    return write


def _polars_parquet(kind: Kind, path: Path) -> Path:
    _polars(kind).write_parquet(path)
    return path


def _parquet(kind: Kind, path: Path) -> Path:
    pa.parquet.write_table(_arrow(kind), path)
    return path


def _feather(kind: Kind, path: Path) -> Path:
    pa.feather.write_feather(_arrow(kind), path, compression="lz4")
    return path


def _stream(kind: Kind, path: Path) -> Path:
    rows = _arrow(kind)
    with pa.ipc.new_stream(path, rows.schema) as writer:
        writer.write_table(rows)
    return path


def _dictionary(values: Any) -> Written:
    """A file of Arrow whose texts are values of a dictionary."""

    def write(kind: Kind, path: Path) -> Path:
        texts = [None if cell is None else str(cell) for cell in _plain(kind)]
        known = sorted({text for text in texts if text is not None})
        indices = pa.array([None if text is None else known.index(text) for text in texts], pa.int32())
        rows = pa.table({COLUMN: pa.DictionaryArray.from_arrays(indices, pa.array(known, values))})
        with pa.ipc.new_file(path, rows.schema) as writer:
            writer.write_table(rows)
        return path

    return write


FILES: dict[str, tuple[str, Written]] = {
    "CSV": ("a.csv", lambda kind, path: _delimited(kind, path, ",")),
    "CSV with ;": ("semicolons.csv", lambda kind, path: _delimited(kind, path, ";")),
    "CSV of pandas": ("pandas.csv", _pandas_csv),
    "CSV of polars": ("polars.csv", _polars_csv),
    "TSV": ("a.tsv", lambda kind, path: _delimited(kind, path, "\t")),
    "JSON Lines": ("a.jsonl", _lines),
    "JSON array": ("a.json", _array),
    "Parquet": ("a.parquet", _parquet),
    "Parquet of pandas": ("pandas.parquet", _pandas_parquet),
    "Parquet of polars": ("polars.parquet", _polars_parquet),
    "Arrow stream": ("a.arrow", _stream),
    "Feather": ("a.feather", _feather),
    "IPC of polars": ("polars.ipc", _polars_ipc("uncompressed")),
    "IPC of polars, lz4": ("polars-lz4.ipc", _polars_ipc("lz4")),
    "IPC of polars, zstd": ("polars-zstd.ipc", _polars_ipc("zstd")),
    "dictionary": ("dictionary.arrow", _dictionary(pa.large_string())),
    "dictionary of views": ("views.arrow", _dictionary(pa.string_view())),
}
"""File name and writer, by path."""
ROWS: dict[str, Callable[[Kind], Any]] = {
    "Python columns": lambda kind: {COLUMN: list(kind.cells)},
    "Python rows": _json_rows,
    "pandas DataFrame": _pandas,
    "polars DataFrame": _polars,
    "Arrow table": _arrow,
    "numpy array": lambda kind: {COLUMN: np.array(list(kind.cells))},
    "numpy array, 32 bits": lambda kind: {COLUMN: np.array(list(kind.cells), np.float32)},
    "Arrow vectors": lambda kind: pa.table({COLUMN: pa.array(kind.cells, pa.list_(pa.float32(), len(kind.cells[0])))}),
}
"""Rows in memory, by path."""
MESSAGES: dict[str, Callable[[Kind], Column]] = {
    "int64s": lambda kind: Column(int64s=Int64Values(values=[cell or 0 for cell in kind.cells])),
    "floats": lambda kind: Column(floats=FloatValues(values=[cell or 0 for cell in kind.cells])),
    "string_lists": lambda kind: Column(
        string_lists=StringLists(rows=[StringValues(values=texts or ()) for texts in kind.texts])
    ),
    "vectors": lambda kind: Column(
        vectors=FloatMatrix(width=2, values=[number for cell in kind.cells for number in cell or (0, 0)])
    ),
}
"""Columns as a program of any language sends them."""


def _message(made: Callable[[Kind], Column], kind: Kind) -> TableMessage:
    column = made(kind)
    column.name = COLUMN
    column.nulls.extend(cell is None for cell in kind.cells)
    return TableMessage(columns=[column])


@dataclass(frozen=True)
class Way:
    """One path: `written` makes the file or the rows, `read` returns the texts of the column in it."""

    name: str
    written: Callable[[], Any]
    read: Callable[[Any], Texts]


def ways(kind: Kind, folder: Path) -> Iterator[Way]:
    """Every path that can hold a kind's cells: files in training and as they are sent, rows in memory, an artifact."""
    for name, (file, write) in FILES.items():
        if _holds(name, kind):
            made = partial(write, kind, folder / file)
            yield Way(name, made, texts_of_file)
            yield Way(f"{name}, sent", made, texts_of_client_file)
    for name, rows in ROWS.items():
        if _holds(name, kind):
            yield Way(name, partial(rows, kind), texts_of_rows)
    for name, column in MESSAGES.items():
        if _holds(name, kind):
            yield Way(f"{name}, on the wire", partial(_message, column, kind), texts_of_message)
    for delimiter in ",;":
        path = folder / "exported.csv"
        yield Way(f"CSV with {delimiter}, exported", partial(_delimited, kind, path, delimiter), texts_of_artifact)


def _holds(path: str, kind: Kind) -> bool:
    """Whether a path can hold such cells at all: the others are no paths of ours."""
    vectors = kind.name.startswith("vector") and "large" not in kind.name
    match path:
        case "numpy array":
            return None not in kind.cells
        case "numpy array, 32 bits":
            return None not in kind.cells and vectors
        case "Arrow vectors" | "vectors":
            return vectors
        case "int64s":
            return kind.name.startswith("integer")
        case "floats":
            return kind.name == "float"
        case "string_lists":
            return kind.items
        case _:
            return not (path.startswith("dictionary") and kind.items)
