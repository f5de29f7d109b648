"""Small tables for tests, as files and in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.features.cells import Where
from headstart_server.data.features.fitted import FittedFeature, fit_feature
from headstart_server.data.formats import Format
from headstart_server.data.tables import Sources, Table, open_table, table_of_arrow
from headstart_server.spec.model import FeatureSpec

WHERE = Where("input_features[0]", "column", lambda row: f"row {row + 1}")


def table_of(**columns: list[Any]) -> Table:
    """A table of plain lists."""
    return table_of_arrow(pa.table(columns), "dataset")


def sources_of(**columns: list[Any]) -> Sources:
    """One table as the rows of a job."""
    return Sources((table_of(**columns),), ("dataset",))


def read_bytes(folder: Path, name: str, data: bytes, file_format: Format | None = None) -> Table:
    """A table of a file with these bytes."""
    path = folder / name
    path.write_bytes(data)
    return open_table(path, file_format, folder / "cache", "dataset")


def cells(values: list[Any]) -> pa.Array:
    """A canonical column."""
    return table_of(column=values).rows.column("column").combine_chunks()


def chunks(values: list[Any], size: int = 3) -> Iterator[tuple[int, pa.Array]]:
    """A canonical column in chunks, as tables give them."""
    column = cells(values)
    for start in range(0, len(column), size):
        yield start, column[start : start + size]


def fitted(values: list[Any], kind: str, *, output: bool = False, **preprocessing: Any) -> FittedFeature:
    """A feature fitted on values."""
    spec = FeatureSpec.model_validate({"name": "column", "type": kind, "preprocessing": preprocessing})
    return fit_feature(spec, chunks(values), WHERE, output=output)


def cells_of(table: Table) -> dict[str, list[object]]:
    """Every column's cells."""
    return {name: table.rows.column(name).to_pylist() for name in table.columns}


def refusal(folder: Path, name: str, data: bytes) -> str:
    """What a file is refused with."""
    with pytest.raises(InvalidInputError) as caught:
        read_bytes(folder, name, data)
    assert caught.value.violations[0].field == "dataset"
    return caught.value.violations[0].message
