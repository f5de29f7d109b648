"""Trials that leave inputs out."""

from __future__ import annotations

from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.spec.parse import parse_values
from headstart_server.spec.sweep_trials import Trial, search_of, trials_of

BOTH = [True, False]


def _trials(parameters: dict[str, Any]) -> list[Trial]:
    values = {
        "input_features": [{"name": "text", "type": "text"}, {"name": "size", "type": "number"}],
        "output_features": [{"name": "label", "type": "category"}],
        "sweep": {"search": "grid", "parameters": parameters},
    }
    spec = parse_values(values)
    return list(trials_of(spec, search_of(spec)))


def test_each_subset_of_the_inputs_is_tried_but_none_without_any() -> None:
    trials = _trials({"input_features[0].active": BOTH, "input_features[1].active": BOTH})
    names = [[feature.name for feature in trial.spec.input_features] for trial in trials]
    assert sorted(names) == [["size"], ["text"], ["text", "size"]]


def test_settings_of_an_input_that_is_left_out_have_no_effect() -> None:
    trials = _trials({"input_features[0].active": BOTH, "input_features[0].encoder.reduce_output": ["mean", "cls"]})
    found = [sorted(trial.parameters.items()) for trial in trials]
    active = "input_features[0].active"
    assert [(active, False)] in found
    assert len(found) == 3 and sum(active not in dict(each) for each in found) == 2


def test_what_is_wrong_with_an_input_behind_one_left_out_is_named_by_its_own_place() -> None:
    with pytest.raises(InvalidInputError) as caught:
        _trials({"input_features[0].active": [False], "input_features[1].preprocessing.normalization": ["loud"]})
    [violation] = caught.value.violations
    assert violation.field == "sweep.parameters.input_features[1].preprocessing.normalization"


@pytest.mark.parametrize("value", ["no", 2])
def test_only_true_and_false_say_whether_an_input_is_used(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="must be true or false") as caught:
        _trials({"input_features[1].active": [True, value]})
    assert caught.value.violations[0].field == "sweep.parameters.input_features[1].active"


def test_an_output_is_not_left_out() -> None:
    with pytest.raises(InvalidInputError, match="active"):
        _trials({"output_features[0].active": BOTH})
