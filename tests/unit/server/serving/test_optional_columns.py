"""A table may lack columns whose missing cells the spec says how to fill, and no others."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
import torch
from headstart_server.core.errors import InvalidInputError
from headstart_server.core.reasons import Reason
from headstart_server.data.features.cells import Where
from headstart_server.data.features.fitted import FittedFeature, fit_feature
from headstart_server.data.tables import table_of_arrow
from headstart_server.model.ecd import ECD
from headstart_server.serving.inputs import Reuse
from headstart_server.serving.predictor import Predictor
from headstart_server.spec.model import CombinerSpec, FeatureSpec

from tests.support.tables import cells


def fitted(name: str, values: list[Any], *, output: bool = False, **spec: Any) -> FittedFeature:
    feature = FeatureSpec.model_validate({"name": name, **spec})
    return fit_feature(feature, [(0, cells(values))], Where("f", name, str), output=output)


MEAN = {"missing_value_strategy": "fill_with_mean"}
INPUTS = (
    fitted("x", [1.0, 2.0, 6.0], type="number", preprocessing=MEAN),
    fitted("y", [1.0, 2.0, 6.0], type="number"),
    fitted("again", [1.0, 2.0, 6.0], type="number", column="y", preprocessing=MEAN),
)
OUTPUT = fitted("out", ["a", "b", "a"], type="category", output=True)


@pytest.fixture
def predictor() -> Predictor:
    model = ECD(INPUTS, (OUTPUT,), CombinerSpec(), {})
    return Predictor(INPUTS, (OUTPUT,), model, {}, torch.device("cpu"))


def answer(predictor: Predictor, **columns: list[Any]) -> list[list[float]]:
    rows = predictor.rows(table_of_arrow(pa.table(columns), "table"))
    return predictor.predict(rows, Reuse.EXACT).outputs["out"].tolist()  # type: ignore[no-any-return]


def test_a_column_that_is_left_out_is_missing_in_every_row(predictor: Predictor) -> None:
    whole = answer(predictor, x=[None, None], y=[2.0, 5.0])
    assert answer(predictor, y=[2.0, 5.0]) == whole
    assert answer(predictor, x=[9.0, 9.0], y=[2.0, 5.0]) != whole


@pytest.mark.parametrize("columns", [{"x": [1.0]}, {"other": [1.0]}])
def test_a_column_that_is_needed_is_named(predictor: Predictor, columns: dict[str, list[Any]]) -> None:
    with pytest.raises(InvalidInputError, match="column 'y' is not in table") as refused:
        answer(predictor, **columns)
    assert refused.value.reason == Reason.MISSING_COLUMN
    assert ("column 'x'" in refused.value.message) == ("other" in columns)  # a table of something else is no table


@pytest.mark.parametrize(
    ("spec", "optional"),
    [
        ({"type": "number"}, False),
        ({"type": "number", "preprocessing": MEAN}, True),
        ({"type": "text", "preprocessing": {"missing_value_strategy": "fill_with_const"}}, True),
        ({"type": "number", "preprocessing": {"missing_value_strategy": "drop_row"}}, False),
        ({"type": "number", "preprocessing": {"missing_value_strategy": "fail"}}, False),
        ({"type": "image", "preprocessing": {"bad_image_policy": "default"}}, True),
        ({"type": "image", "preprocessing": {"bad_image_policy": "drop"}}, False),
    ],
)
def test_the_spec_says_which_are_optional(spec: dict[str, Any], optional: bool) -> None:
    feature = FeatureSpec.model_validate({"name": "x", **spec})
    assert FittedFeature(feature, INPUTS[0].statistics, output=False).optional is optional
    assert not FittedFeature(feature, INPUTS[0].statistics, output=True).optional
