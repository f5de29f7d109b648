"""A spec that is written is read as the same spec, without a note."""

import json
from typing import Any

import pytest
import yaml
from headstart_server.spec.parse import parse_yaml
from headstart_server.spec.yaml_writer import spec_text
from hypothesis import given
from hypothesis import strategies as st

from tests.support.specs import spec_output, spec_with

ODD = [
    "no",
    "1e-5",
    "1_000",
    "0x1f",
    "2020-01-01",
    "~",
    "",
    " a",
    "#",
    "a: b",
    "- x",
    "null",
    "True",
    "=",
    "\u2028",
    "é😀",
]


@pytest.mark.parametrize(
    "values",
    [
        spec_with(training={"learning_rate": 1e-5, "optimizer": "adam"}, model_type="ecd"),
        spec_with(combiner={"fc_layers": [{"fc_size": 64}, {"output_size": 8, "dropout": 0.5}]}),
        spec_with(input_features=[{"name": "a", "type": "numerical"}, {"name": "b", "type": "text", "active": False}]),
        spec_output(fc_layers=[{"output_size": 3}], calibration="temperature_scaling", reduce_input="sum"),
    ],
)
def test_a_written_spec_is_the_same_without_notes(values: dict[str, Any]) -> None:
    spec = parse_yaml(json.dumps(values))
    again = parse_yaml(text := spec_text(spec))
    assert (again, again.notes) == (spec.model_copy(update={"notes": []}), [])
    assert [f"# {note}" for note in spec.notes] == [line for line in text.splitlines() if line.startswith("#")]


@given(st.sampled_from(ODD) | st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20))
def test_every_text_stays_itself(text: str) -> None:
    values = spec_output(loss={"class_weights": {text: 2.0}}, preprocessing={"fill_value": text})
    values["output_features"][0]["preprocessing"]["missing_value_strategy"] = "fill_with_const"
    spec = parse_yaml(json.dumps(values))
    assert parse_yaml(spec_text(spec)) == spec
    assert yaml.safe_load(spec_text(spec))["output_features"][0]["loss"]["class_weights"] == {text: 2.0}


def test_a_note_never_ends_its_comment() -> None:
    spec = parse_yaml(json.dumps(spec_with())).model_copy(update={"notes": ["a\ntrainer: {epochs: 9}"]})
    assert parse_yaml(spec_text(spec)).trainer.epochs is None
