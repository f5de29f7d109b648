"""Rows of a data set are read no more at once than a turn may have."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from headstart_server.data.features.fitted import FittedFeature, fit_feature
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.tables import Table
from headstart_server.serving import table_rows
from headstart_server.serving.table_rows import TableReader
from headstart_server.spec.model import FeatureSpec

from tests.support.tables import WHERE, chunks


def _input(name: str, kind: str, values: list[Any]) -> FittedFeature:
    spec = FeatureSpec.model_validate({"name": name, "type": kind})
    return fit_feature(spec, chunks(values), WHERE, output=False)


def _reader(table: Table, most: int, *inputs: FittedFeature) -> TableReader:
    return TableReader(table, inputs, ImageLimits(), most)


def test_a_turn_has_as_many_rows_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["x" * 1_000] * 100
    table = Table(pa.table({"text": pa.array(texts, pa.large_string()), "other": texts}), "dataset")
    reader = _reader(table, 64, _input("text", "text", texts))
    assert reader.rows(0).count == 64 and reader.rows(0).cells.schema.names == ["text"]
    assert reader.rows(90).count == 10
    monkeypatch.setattr(table_rows, "_BYTES", 10_000)
    assert 1 <= reader.rows(0).count < 10
    monkeypatch.setattr(table_rows, "_BYTES", 10)
    assert reader.rows(0).count == 1


def test_a_turn_has_as_many_images_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_rows, "_BYTES", 4_096)
    images = [b"\x89PNG" + b"x" * 1_000] * 20
    table = Table(pa.table({"photo": pa.array(images, pa.large_binary())}), "dataset")
    reader = _reader(table, 512, _input("photo", "image", images))
    assert all(1 <= reader.rows(start).count <= 5 for start in (0, 5, 12))
    assert reader.rows(18).count == 2
