"""Calls about data sets are counted, and read no more at once than a turn may have."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pyarrow as pa
import pytest
from headstart_server.core.errors import OverloadedError
from headstart_server.data.features.fitted import FittedFeature, fit_feature
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.tables import Table
from headstart_server.service import dataset_prediction
from headstart_server.service.dataset_prediction import DatasetPredictionService, _Reader
from headstart_server.spec.model import FeatureSpec

from tests.support.tables import WHERE, chunks

NOBODY: Any = None


class Inputs:
    """Stands in for a predictor, of which the inputs alone are asked."""

    def __init__(self, *inputs: FittedFeature) -> None:
        self.inputs = inputs


def _input(name: str, kind: str, values: list[Any]) -> FittedFeature:
    spec = FeatureSpec.model_validate({"name": name, "type": kind})
    return fit_feature(spec, chunks(values), WHERE, output=False)


def _reader(table: Table, most: int, *inputs: FittedFeature) -> _Reader:
    predictor: Any = Inputs(*inputs)
    return _Reader(table, predictor, ImageLimits(), most)


def test_a_tenant_has_so_many_calls_and_all_together_some_more() -> None:
    service = DatasetPredictionService(NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, 512)
    with ExitStack() as calls:
        for tenant in "aaaabbbbccccdddd":
            calls.enter_context(service._counted(tenant))
        for tenant in "ae":
            with pytest.raises(OverloadedError, match="at most 4 data sets") as caught, service._counted(tenant):
                pass
            assert caught.value.retry_after == 5.0
    with service._counted("a"):
        pass


def test_a_turn_has_as_many_rows_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["x" * 1_000] * 100
    table = Table(pa.table({"text": pa.array(texts, pa.large_string()), "other": texts}), "dataset")
    reader = _reader(table, 64, _input("text", "text", texts))
    assert reader.turn(0).rows.num_rows == 64 and reader.turn(0).rows.schema.names == ["text"]
    assert reader.turn(90).rows.num_rows == 10
    monkeypatch.setattr(dataset_prediction, "_BYTES", 10_000)
    assert 1 <= reader.turn(0).rows.num_rows < 10
    monkeypatch.setattr(dataset_prediction, "_BYTES", 10)
    assert reader.turn(0).rows.num_rows == 1


def test_a_turn_has_as_many_images_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_prediction, "_BYTES", 4_096)
    images = [b"\x89PNG" + b"x" * 1_000] * 20
    table = Table(pa.table({"photo": pa.array(images, pa.large_binary())}), "dataset")
    reader = _reader(table, 512, _input("photo", "image", images))
    assert all(1 <= reader.turn(start).rows.num_rows <= 5 for start in (0, 5, 12))
    assert reader.turn(18).rows.num_rows == 2
