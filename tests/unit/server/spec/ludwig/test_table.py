"""A file in another or older spelling of Ludwig's is the same spec, says so, or is refused with what to use."""

import contextlib
import json
from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.spec.ludwig.rewriting import MAX_NOTES, Reading, sections
from headstart_server.spec.ludwig.table import SPELLINGS, with_current_spelling
from headstart_server.spec.parse import parse_yaml

from tests.support.specs import spec_input, spec_output, spec_with

TWO = [{"name": "a", "type": "number"}, {"name": "tags", "type": "set"}]


def parsed(values: dict[str, Any]) -> dict[str, Any]:
    return parse_yaml(json.dumps(values)).model_dump(exclude={"notes"})


@pytest.mark.parametrize(
    ("old", "current"),
    [
        (spec_with(model_type="ecd", ludwig_version="0.8.1"), spec_with()),
        (spec_with(training={"epochs": 3}), spec_with(trainer={"epochs": 3})),
        (spec_input(encoder="bert", trainable=True), spec_input(encoder={"type": "bert", "trainable": True})),
        (
            spec_input(encoder="auto_transformer", pretrained_model_name_or_path="x/y", reduce_output="mean"),
            spec_input(
                encoder={"type": "auto_transformer", "pretrained_model_name_or_path": "x/y", "reduce_output": "mean"}
            ),
        ),
        (
            spec_with(preprocessing={"text": {"lowercase": True}}),
            spec_with(defaults={"text": {"preprocessing": {"lowercase": True}}}),
        ),
        (
            spec_with(preprocessing={"force_split": True, "split_probabilities": [0.8, 0.1, 0.1]}),
            spec_with(preprocessing={"split": {"type": "random", "probabilities": [0.8, 0.1, 0.1]}}),
        ),
        (
            spec_with(preprocessing={"stratify": "label"}),
            spec_with(preprocessing={"split": {"type": "stratify", "column": "label"}}),
        ),
        (
            spec_with(preprocessing={"split": {"type": "fixed"}}),
            spec_with(preprocessing={"split": {"type": "fixed", "column": "split"}}),
        ),
        (
            spec_with(combiner={"type": "concat", "fc_layers": [{"fc_size": 64, "dropout": 0.1}] * 2}),
            spec_with(combiner={"type": "concat", "fc_layers": [{"output_size": 64, "dropout": 0.1}] * 2}),
        ),
        (
            spec_output(fc_layers=[{"output_size": 32}], calibration=False),
            spec_output(decoder={"fc_layers": [{"output_size": 32}], "calibration": False}),
        ),
        (
            spec_output(decoder={"type": "classifier"}, calibration={"type": "temperature_scaling"}),
            spec_output(decoder={"calibration": True}),
        ),
        (
            spec_with(trainer={"optimizer": "adam", "validation_field": "label", "validation_metric": "accuracy"}),
            spec_with(trainer={"optimizer": {"type": "adam"}, "validation_metric": "label.accuracy"}),
        ),
        (
            spec_with(
                input_features=[
                    {"name": "a", "type": "numerical", "active": True, "tied": None},
                    {"name": "tags", "type": "set", "preprocessing": {"tokenizer": "comma"}},
                ]
            ),
            spec_with(input_features=[TWO[0], {**TWO[1], "preprocessing": {"separator": ","}}]),
        ),
        (
            spec_with(input_features=[{"name": "i", "type": "image", "preprocessing": {"height": 28, "width": 28}}]),
            spec_with(input_features=[{"name": "i", "type": "image"}]),
        ),
        (
            spec_with(preprocessing={"image": {"num_channels": 3}, "set": {"tokenizer": "space"}}),
            spec_with(defaults={"image": {"preprocessing": {}}, "set": {"preprocessing": {"separator": " "}}}),
        ),
        (
            spec_with(trainer={"bucketing_field": "review", "should_shuffle": True, "reduce_on_plateau": 0}),
            spec_with(),
        ),
        (
            spec_with(trainer={"validation_field": "label", "validation_metric": "loss"}),
            spec_with(trainer={"validation_metric": "loss"}),
        ),
        (
            spec_with(trainer={"enable_gradient_checkpointing": True, "increase_batch_size_on_plateau": 0}),
            spec_with(),
        ),
    ],
)
def test_another_spelling_is_the_same_spec(old: dict[str, Any], current: dict[str, Any]) -> None:
    assert parsed(old) == parsed(current)


@pytest.mark.parametrize(
    ("values", "field", "word"),
    [
        (spec_with(model_type="gbm"), "model_type", "ecd"),
        (spec_with(model_type="llm"), "model_type", "text input"),
        (spec_input(trainable=True, encoder={"trainable": False}), "input_features[0].trainable", "keep"),
        (spec_output(decoder={"type": "tagger"}), "output_features[0].decoder.type", "classifier"),
        (spec_output(calibration="platt"), "output_features[0].calibration", "temperature_scaling"),
        (
            spec_with(
                output_features=[{"name": name, "type": "number"} for name in "ab"], trainer={"validation_field": "a"}
            ),
            "trainer.validation_field",
            "all outputs together",
        ),
        (spec_with(training={"epoch": 1}), "training.epoch", "read as trainer.epoch"),
    ],
)
def test_what_means_nothing_here_is_refused_with_what_to_use(values: dict[str, Any], field: str, word: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_yaml(json.dumps(values))
    assert any(item.field == field and word in item.message for item in caught.value.violations)


def test_each_thing_read_otherwise_is_noted_and_the_given_values_stay() -> None:
    values = spec_with(training={"bucketing_field": "review"})
    written, reading = with_current_spelling(values)
    assert written["trainer"] == {} and "training" in values
    assert reading.notes == [
        "training: read as trainer",
        "trainer.bucketing_field: has no effect: batches are grouped by length automatically",
    ]


def test_a_current_file_has_no_notes() -> None:
    assert parse_yaml(json.dumps(spec_with(trainer={"epochs": 2}))).notes == []


def test_notes_are_bounded() -> None:
    features = [{"name": f"n{index}", "type": "numerical"} for index in range(200)]
    assert len(with_current_spelling(spec_with(input_features=features))[1].notes) == MAX_NOTES


@pytest.mark.parametrize("odd", [None, 3, "x", [], [1], {"a": 1}])
def test_odd_values_are_refused_or_read_and_never_crash(odd: Any) -> None:
    for row in SPELLINGS:
        value: Any = {row.key: odd, "type": odd}
        for part in reversed(row.section.split(".") if row.section else []):
            value = {part.removesuffix("[]"): [value] if part.endswith("[]") else value}
        for section, path in sections(value, row.section):
            row.write(section, f"{path}.{row.key}", Reading())
    for section in sorted({row.section for row in SPELLINGS}):
        value = {row.key: odd for row in SPELLINGS if row.section == section}
        for part in reversed(section.split(".") if section else []):
            value = {part.removesuffix("[]"): [value] if part.endswith("[]") else value}
        with contextlib.suppress(InvalidInputError):
            parse_yaml(json.dumps({**spec_with(), **value}))
