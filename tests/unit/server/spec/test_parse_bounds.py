"""Names, weights and sizes that no spec needs are refused in a few words."""

from typing import Any

import pytest
from headstart_server.spec.parse import parse_values

from tests.support.specs import spec_input, spec_output, spec_with, violations_of


@pytest.mark.parametrize(
    "name", ["x" * 201, "a\0b", "a\nb", "\x7f", "a\u2028b"], ids=["long", "NUL", "line", "DEL", "U+2028"]
)
def test_a_name_that_cannot_be_a_key_is_refused_with_a_way_to_keep_the_column(name: str) -> None:
    [violation] = violations_of(spec_input(name=name))
    assert violation.field == "input_features[0].name"
    assert "the column's in 'column'" in violation.message
    parse_values(spec_input(name="plain", column=name))


def test_a_name_may_be_200_characters_of_any_script() -> None:
    name = "é. /ß漢😀 " * 25
    assert parse_values(spec_input(name=name)).input_features[0].name == name


@pytest.mark.parametrize("weight", [-1.0, 0.0, 1e-7, 1e7, float("inf"), float("nan")])
def test_a_weight_that_no_loss_can_bear_is_refused(weight: float) -> None:
    for values, field in (
        (spec_output(loss={"class_weights": {"a": weight, "b": 1.0}}), "output_features[0].loss.class_weights.a"),
        (spec_output(loss={"weight": weight}), "output_features[0].loss.weight"),
        (
            spec_output(type="binary", loss={"positive_class_weight": weight}),
            "output_features[0].loss.positive_class_weight",
        ),
    ):
        assert [violation.field for violation in violations_of(values)] == [field]


def test_twenty_mistakes_are_told_and_the_rest_counted() -> None:
    unknown = violations_of(spec_with(**{f"key{number}": 1 for number in range(1_000)}))
    assert [item.field for item in unknown[:20]] == [f"key{number}" for number in range(20)]
    assert [item.message for item in unknown[20:]] == ["and 980 more; correct these first"]
    ruled = violations_of(spec_with(input_features=[{"name": f"n{number}", "type": "nmuber"} for number in range(30)]))
    assert [item.message for item in ruled[20:]] == ["and 10 more; correct these first"]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        (
            spec_with(input_features=[{"name": str(number), "type": "text"} for number in range(5_000)]),
            "input_features",
        ),
        (spec_with(defaults={f"type{number}": {} for number in range(51)}), "defaults"),
        (spec_input(column="x" * 1_001), "input_features[0].column"),
        (spec_input(encoder={"type": "x" * 1_001}), "input_features[0].encoder.type"),
        (spec_with(trainer={"optimizer": {"betas": [0.5] * 1_000}}), "trainer.optimizer.betas"),
    ],
)
def test_what_is_larger_than_any_spec_is_refused_in_a_few_words(values: dict[str, Any], field: str) -> None:
    [violation] = violations_of(values)
    assert violation.field == field
    assert "at most" in violation.message
    assert len(violation.message) < 300


@pytest.mark.parametrize("value", [0, 1.5, True])
def test_a_number_where_text_is_wanted_is_to_be_quoted(value: object) -> None:
    [violation] = violations_of(spec_input(type="category", preprocessing={"fill_value": value}))
    assert violation.field == "input_features[0].preprocessing.fill_value"
    assert f"write it in quotes: '{str(value).lower()}'" in violation.message


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (-1.5, "-1.5"), ("2", "2")])
def test_a_number_columns_fill_value_may_be_a_number(value: object, text: str) -> None:
    preprocessing = {"missing_value_strategy": "fill_with_const", "fill_value": value}
    spec = parse_values(spec_input(type="number", preprocessing=preprocessing))
    assert spec.input_features[0].preprocessing.fill_value == text
