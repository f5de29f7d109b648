"""A value is the same whichever way it travels: files in training and as they are sent, rows in memory, artifacts."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from headstart.values.table import table_of
from headstart_server.data.features.cells import Where, split_items
from headstart_server.data.features.vector import VectorStatistics, transform
from headstart_server.data.spellings import Spellings
from headstart_server.data.tables import table_of_arrow
from headstart_server.rpc.tables import arrow_table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.matrix.paths import COLUMN, texts_of_file, texts_of_rows
from tests.matrix.run import report
from tests.matrix.vectors import KINDS, Kind

pytestmark = pytest.mark.filterwarnings("ignore")  # of pandas and polars, about what they are given


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_path_means_the_same(kind: Kind, tmp_path: Path) -> None:
    lines, good = report(kind, tmp_path)
    assert good, "\n".join(lines)
    assert sum(line.endswith(" same") for line in lines) > 20
    assert not [line for line in lines if "refused" in line]


_ZONES = st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=-5, minutes=-30))])
_DAYS: dict[str, Any] = {"min_value": dt.datetime(1, 1, 2), "max_value": dt.datetime(9999, 12, 30)}
TYPES = {
    "integers": st.integers(-(2**62), 2**62),
    "floats": st.floats(allow_nan=False, allow_infinity=False, width=64),
    "booleans": st.booleans(),
    "decimals": st.decimals(min_value=-(10**9), max_value=10**9, places=6),
    "dates": st.dates(min_value=dt.date(1, 1, 2)),
    "times": st.times(),
    "timestamps": st.datetimes(**_DAYS),
    "moments": st.datetimes(**_DAYS, timezones=_ZONES),
    "texts": st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n\x1f"), min_size=1),
}


_UNTIMED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.mark.parametrize("name", TYPES)
@settings(max_examples=40, deadline=None, suppress_health_check=_UNTIMED)
@given(data=st.data())
def test_a_model_finds_the_values_of_any_other_path(name: str, tmp_path: Path, data: st.DataObject) -> None:
    cells = data.draw(st.lists(TYPES[name], min_size=1, max_size=8, unique_by=lambda cell: (cell == 0, cell)))
    arrived = {
        "CSV": _read(tmp_path / "a.csv", _csv(cells)),
        "JSON Lines": _read(tmp_path / "a.jsonl", "\n".join(json.dumps({COLUMN: cell}, default=str) for cell in cells)),
        "Parquet": _parquet(tmp_path / "a.parquet", cells),
        "rows": texts_of_rows({COLUMN: cells}),
    }
    for trained, labels in arrived.items():
        known = Spellings([label for label in labels if label is not None])
        for asked, texts in arrived.items():
            found = [None if text is None else known.find(text) for text in texts]
            assert found == labels, f"{trained} {labels}, {asked} {texts}"


_LISTS = st.lists(TYPES["texts"], max_size=4)


@settings(max_examples=40, deadline=None, suppress_health_check=_UNTIMED)
@given(cells=st.lists(st.one_of(st.none(), _LISTS), min_size=1, max_size=8))
def test_sets_hold_the_same_items_by_every_path(tmp_path: Path, cells: list[list[str] | None]) -> None:
    rows = "\n".join(json.dumps({"row": row, COLUMN: cell}) for row, cell in enumerate(cells))
    for path, texts in {
        "JSON Lines": _read(tmp_path / "a.jsonl", rows),
        "rows": texts_of_rows({COLUMN: cells}),
        "sets": texts_of_rows({COLUMN: [cell if cell is None else set(cell) for cell in cells]}),
        "Arrow": texts_of_rows(pa.table({COLUMN: pa.array(cells, pa.list_(pa.string()))})),
    }.items():
        found = [None if text is None else set(split_items(text, None)) for text in texts]
        assert found == [None if cell is None else set(cell) for cell in cells], path


@settings(max_examples=40, deadline=None, suppress_health_check=_UNTIMED)
@given(data=st.data(), width=st.integers(1, 4))
def test_vectors_are_the_same_numbers_whichever_way_they_travel(
    tmp_path: Path, data: st.DataObject, width: int
) -> None:
    number = st.floats(allow_nan=False, allow_infinity=False, width=32)
    vectors = data.draw(st.lists(st.lists(number, min_size=width, max_size=width), min_size=1, max_size=6))
    expected = np.array(vectors, np.float32)
    statistics = VectorStatistics(width, None)
    rows = "\n".join(json.dumps({COLUMN: vector}) for vector in vectors)
    sent = (vectors, list(expected), list(expected.astype(float)), pa.array(list(expected), pa.list_(pa.float32())))
    arrived = {
        "CSV": _read(tmp_path / "a.csv", _csv([" ".join(map(repr, vector)) for vector in vectors])),
        "JSON Lines": _read(tmp_path / "a.jsonl", rows),
        **{
            f"rows {place}": texts_of_rows(pa.table({COLUMN: way}) if isinstance(way, pa.Array) else {COLUMN: way})
            for place, way in enumerate(sent)
        },
    }
    for path, texts in arrived.items():
        found = transform(pa.array(texts, pa.large_string()), statistics, _WHERE)
        assert (found == expected).all(), path
    message = arrow_table(table_of({COLUMN: expected}), "table")
    for whole in (True, False):
        column = table_of_arrow(message, "table", vectors=whole).rows.column(COLUMN).combine_chunks()
        assert (transform(column, statistics, _WHERE) == expected).all()


_WHERE = Where("table", COLUMN, lambda row: f"row {row + 1}")


def _read(path: Path, text: str) -> list[str | None]:
    path.write_text(text, encoding="utf-8", newline="")
    return texts_of_file(path)


def _csv(cells: list[Any]) -> str:
    file = io.StringIO()
    csv.writer(file).writerows([["row", COLUMN], *([number, cell] for number, cell in enumerate(cells))])
    return file.getvalue()


def _parquet(path: Path, cells: list[Any]) -> list[str | None]:
    kind = pa.decimal128(38, 6) if isinstance(cells[0], Decimal) else None
    pa.parquet.write_table(pa.table({COLUMN: pa.array(cells, kind)}), path)
    return texts_of_file(path)
