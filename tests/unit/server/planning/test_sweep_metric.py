"""What trials are compared by is one quantity in all of them."""

from __future__ import annotations

from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.encoders.sources import ModelSources
from headstart_server.planning.sweep import check_sweep, sweep_metric
from headstart_server.spec.parse import parse_values

NUMBER = {"name": "y", "type": "number"}
LABEL = {"name": "label", "type": "category"}


def check(parameters: dict[str, Any], *outputs: dict[str, Any], **sweep: Any) -> str:
    """Checks a sweep; returns its metric."""
    values = {
        "input_features": [{"name": "x", "type": "number"}],
        "output_features": list(outputs),
        "sweep": {"search": "grid", "parameters": {path: {"choices": each} for path, each in parameters.items()}}
        | sweep,
    }
    spec = parse_values(values)
    check_sweep(spec, ModelSources(), "cpu")
    return sweep_metric(spec)


OTHER_LOSSES: dict[str, dict[str, list[Any]]] = {
    "default": {"defaults.number.preprocessing.normalization": ["zscore", "minmax"]},
    "normalization": {"output_features[0].preprocessing.normalization": ["zscore", "minmax"]},
    "type": {"output_features[0].loss.type": ["mean_squared_error", "mean_absolute_error"]},
    "weight": {"output_features[0].loss.weight": [1.0, 2.0]},
}


@pytest.mark.parametrize("case", OTHER_LOSSES)
def test_losses_that_differ_are_not_compared(case: str) -> None:
    with pytest.raises(
        InvalidInputError, match=r"sweep\.metric: 'loss' is another quantity .*; use y\.mean_squared"
    ) as told:
        check(OTHER_LOSSES[case], NUMBER, LABEL)
    assert told.value.field == "sweep.metric"
    assert check(OTHER_LOSSES[case], NUMBER) == "y.root_mean_squared_error"
    assert check(OTHER_LOSSES[case], NUMBER, LABEL, metric="label.accuracy") == "label.accuracy"


@pytest.mark.parametrize(
    "parameters",
    [
        {"trainer.learning_rate": [0.1, 0.2]},
        {"input_features[0].preprocessing.normalization": ["zscore", "minmax"]},
        {"defaults.number.preprocessing.missing_value_strategy": ["fill_with_mean", "drop_row"]},
    ],
    ids=str,
)
def test_what_leaves_the_loss_as_it_is_may_be_compared_by_it(parameters: dict[str, Any]) -> None:
    assert check(parameters, NUMBER, LABEL) == "loss"


@pytest.mark.parametrize(("kind", "metric"), [("category", "accuracy"), ("binary", "accuracy"), ("set", "jaccard")])
def test_a_single_output_is_compared_by_its_own_metric(kind: str, metric: str) -> None:
    assert check({"trainer.epochs": [1, 2]}, {"name": "out", "type": kind}) == f"out.{metric}"
