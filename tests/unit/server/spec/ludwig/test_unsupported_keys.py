"""What of Ludwig's files there is not is refused at its path, with what to use instead."""

from __future__ import annotations

import json
from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError, Violation
from headstart_server.spec.ludwig import unsupported_keys
from headstart_server.spec.parse import parse_yaml

from tests.support.specs import spec_input, spec_output, spec_with


def violations(values: dict[str, Any]) -> list[Violation]:
    with pytest.raises(InvalidInputError) as caught:
        parse_yaml(json.dumps(values))
    return caught.value.violations


def _cases() -> list[tuple[dict[str, Any], str, str]]:
    found = []
    for word, use in unsupported_keys.INPUT_TYPES.items():
        found.append((spec_input(type=word), "input_features[0].type", use))
    for word, use in unsupported_keys.OUTPUT_TYPES.items():
        found.append((spec_output(type=word), "output_features[0].type", use))
    for kind, words in unsupported_keys.ENCODERS.items():
        for word, use in words.items():
            found.append((spec_input(type=kind, encoder=word), "input_features[0].encoder", use))
            found.append((spec_input(type=kind, encoder={"type": word}), "input_features[0].encoder.type", use))
            found.append(
                (spec_with(defaults={kind: {"encoder": {"type": word}}}), f"defaults.{kind}.encoder.type", use)
            )
    for word, use in unsupported_keys.COMBINERS.items():
        found.append((spec_with(combiner={"type": word, "size": 32}), "combiner.type", use))
    for word, use in unsupported_keys.LOSSES.items():
        found.append((spec_output(loss={"type": word, "xi": 1}), "output_features[0].loss.type", use))
        found.append((spec_output(loss=word), "output_features[0].loss", use))
    for word, use in unsupported_keys.MISSING_VALUES.items():
        place = "input_features[0].preprocessing.missing_value_strategy"
        found.append((spec_input(preprocessing={"missing_value_strategy": word}), place, use))
        old = spec_with(preprocessing={"numerical": {"missing_value_strategy": word}})
        found.append((old, "preprocessing.numerical.missing_value_strategy", use))
    return found


@pytest.mark.parametrize(
    ("values", "field", "use"), _cases(), ids=lambda item: item[:40] if isinstance(item, str) else ""
)
def test_a_word_is_refused_where_it_stands_with_what_to_use(values: dict[str, Any], field: str, use: str) -> None:
    [violation] = violations(values)
    assert violation.field == field
    assert use in violation.message


@pytest.mark.parametrize(
    ("values", "field", "word"),
    [
        (spec_with(prompt={"task": "x"}), "prompt", "category output"),
        (spec_with(quantization={"bits": 4}), "quantization", "use_mixed_precision"),
        (
            spec_input(encoder={"type": "bert", "adapter": {"type": "ia3"}}),
            "input_features[0].encoder.adapter.type",
            "use lora",
        ),
        (
            spec_input(encoder={"type": "bert", "adapter": {"type": "lora", "bias_type": "all"}}),
            "input_features[0].encoder.adapter.bias_type",
            "leave it out",
        ),
        (spec_input(level="char"), "input_features[0].level", "canine"),
        (spec_input(conv_layers=[{}]), "input_features[0].conv_layers", "choose an encoder by type"),
        (spec_input(reduce_output=None), "input_features[0].reduce_output", "use mean"),
        (spec_output(dependencies=["other"]), "output_features[0].dependencies", "do not feed each other"),
        (spec_output(loss={"robust_lambda": 0.1}), "output_features[0].loss.robust_lambda", "label_smoothing"),
        (
            spec_output(loss={"confidence_penalty": 0.1}),
            "output_features[0].loss.confidence_penalty",
            "label_smoothing",
        ),
        (spec_output(loss={"class_weights": [1, 2]}), "output_features[0].loss.class_weights", "mapping"),
        (
            spec_output(loss={"class_similarities": [[1]]}),
            "output_features[0].loss.class_similarities",
            "label_smoothing",
        ),
        (spec_output(use_bias=False, num_fc_layers=1), "output_features[0].use_bias", "layers have a bias"),
        (spec_with(combiner={"residual": True, "num_fc_layers": 1}), "combiner.residual", "leave it out"),
        (spec_input(active="no"), "input_features[0].active", "true or false"),
    ],
)
def test_a_key_is_refused_where_it_stands_with_what_to_use(values: dict[str, Any], field: str, word: str) -> None:
    [violation] = violations(values)
    assert violation.field == field
    assert word in violation.message


TIED: list[dict[str, Any]] = [
    {"name": "a", "type": "text", "encoder": {"type": "bert", "pretrained_model_name_or_path": "x/y"}},
    {"name": "b", "type": "text", "tied": "a"},
]


def test_a_tied_input_has_the_frozen_encoder_of_the_other() -> None:
    spec = parse_yaml(json.dumps(spec_with(input_features=TIED)))
    assert spec.input_features[1].encoder == spec.input_features[0].encoder
    assert any("input_features[1].tied" in note for note in spec.notes)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"tied": "nobody"}, "another input"),
        ({"tied": "b"}, "another input"),
        ({"type": "number"}, "same type"),
    ],
)
def test_a_tie_to_no_such_input_is_refused(changes: dict[str, Any], word: str) -> None:
    [violation] = violations(spec_with(input_features=[TIED[0], {**TIED[1], **changes}]))
    assert violation.field == "input_features[1].tied" and word in violation.message


@pytest.mark.parametrize("where", ["encoder", "feature", "defaults"])
def test_trained_encoders_are_not_tied(where: str) -> None:
    trained: dict[str, Any] = {"trainable": True}
    first = {**TIED[0], "encoder": {"type": "bert", **(trained if where == "encoder" else {})}}
    values = spec_with(input_features=[{**first, **(trained if where == "feature" else {})}, TIED[1]])
    values |= {"defaults": {"text": {"encoder": trained}}} if where == "defaults" else {}
    [violation] = violations(values)
    assert "set encoder.trainable to false" in violation.message


def test_learned_encoders_of_tables_are_not_tied() -> None:
    columns = [{"name": "a", "type": "category"}, {"name": "b", "type": "category", "tied": "a"}]
    [violation] = violations(spec_with(input_features=columns))
    assert "leave tied out" in violation.message
    numbers = [{**column, "type": "number"} for column in columns]
    assert parse_yaml(json.dumps(spec_with(input_features=numbers))).input_features[1].type == "number"
