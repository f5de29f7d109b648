"""What is wrong after rewriting is told at the path of the file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError, Violation
from headstart_server.spec.ludwig.table import with_current_spelling
from headstart_server.spec.parse import parse_yaml, paths_as_written

from tests.support.specs import spec_input, spec_output, spec_with


@pytest.mark.parametrize(
    ("values", "field", "now"),
    [
        (spec_with(training={"epochs": 0}), "training.epochs", "trainer.epochs"),
        (spec_input(trainable="yes"), "input_features[0].trainable", "input_features[0].encoder.trainable"),
        (spec_output(threshold=2), "output_features[0].threshold", "output_features[0].decoder.threshold"),
        (
            spec_with(preprocessing={"numerical": {"fill_value": True}}),
            "preprocessing.numerical.fill_value",
            "defaults.number.preprocessing.fill_value",
        ),
        (
            spec_with(preprocessing={"split_probabilities": [0.5, 0.1, 0.1]}),
            "preprocessing.split_probabilities",
            "preprocessing.split.probabilities",
        ),
        (
            spec_output(decoder={"fc_layers": [{"fc_size": 0}]}),
            "output_features[0].decoder.fc_layers[0].fc_size",
            "output_features[0].decoder.fc_layers[0].output_size",
        ),
        (
            spec_output(fc_layers=[{"output_size": 0}]),
            "output_features[0].fc_layers[0].output_size",
            "output_features[0].decoder.fc_layers[0].output_size",
        ),
        (
            spec_input(type="image", augmentation=[{"type": "random_rotate", "degree": 200}]),
            "input_features[0].augmentation[0].degree",
            "input_features[0].augmentation[0].parameters.degree",
        ),
        (spec_output(loss="mean_squared_error"), "output_features[0].loss", "output_features[0].loss.type"),
    ],
)
def test_a_mistake_is_told_where_it_was_written(values: dict[str, Any], field: str, now: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_yaml(json.dumps(values))
    [violation] = caught.value.violations
    assert violation.field == field
    assert violation.message.endswith(f"(read as {now})")


def test_features_keep_their_numbers_when_others_are_left_out() -> None:
    inputs = [{"name": name, "type": "text", "active": name != "a"} for name in "abc"]
    inputs[2]["trainable"] = "yes"
    with pytest.raises(InvalidInputError) as caught:
        parse_yaml(json.dumps(spec_with(input_features=inputs)))
    assert [item.field for item in caught.value.violations] == ["input_features[2].trainable"]


def test_what_planning_finds_is_told_where_it_was_written() -> None:
    reading = with_current_spelling(spec_with(input_features=[{"name": "t", "type": "text", "encoder": "bart"}]))[1]
    with pytest.raises(InvalidInputError) as caught, paths_as_written(reading):
        raise InvalidInputError(Violation("input_features[0].encoder.type", "is no encoder"), reason="UNKNOWN_ENCODER")
    assert caught.value.field == "input_features[0].encoder"
    assert caught.value.reason == "UNKNOWN_ENCODER"


def test_paths_that_did_not_move_stay() -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_yaml(json.dumps(spec_with(trainer={"epochs": 0})))
    assert "read as" not in caught.value.violations[0].message
