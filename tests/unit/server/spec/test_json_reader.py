"""A spec that is JSON is read as JSON; whatever is not is left to the YAML reader."""

import json
from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.spec.json_reader import read_json
from headstart_server.spec.parse import parse_yaml
from headstart_server.spec.yaml_reader import MAX_BYTES, MAX_DEPTH
from hypothesis import given
from hypothesis import strategies as st

SPEC = {
    "input_features": [{"name": "review 😀", "type": "text"}],
    "output_features": [{"name": "label", "type": "category"}],
}
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**18), 10**18), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=10,
).filter(lambda value: float("inf") not in _floats(value) and float("-inf") not in _floats(value))


def _floats(value: Any) -> list[float]:
    if isinstance(value, dict | list):
        children = value.values() if isinstance(value, dict) else value
        return [number for child in children for number in _floats(child)]
    return [value] if isinstance(value, float) else []


@given(st.dictionaries(st.text(), VALUES), st.sampled_from([None, 2, "\t"]), st.booleans())
def test_what_python_writes_is_read_back(value: dict[str, Any], indent: Any, ascii_only: bool) -> None:
    assert read_json(json.dumps(value, indent=indent, ensure_ascii=ascii_only)) == value


def test_a_spec_with_escaped_pairs_is_accepted() -> None:
    text = json.dumps(SPEC, indent="\t")
    assert "\\ud83d\\ude00" in text
    assert parse_yaml(text).input_features[0].name == "review 😀"


@pytest.mark.parametrize(
    "text", ["", "a: 1", "{a: 1}", "[1]", '"x"', '{"a": NaN}', '{"a": 1,}', '{"a": ' + "[" * 10**5]
)
def test_what_is_not_json_is_left_to_the_yaml_reader(text: str) -> None:
    assert read_json(text) is None


def test_a_document_above_the_limit_is_left_to_the_yaml_readers_refusal() -> None:
    text = '{"a": "' + "x" * MAX_BYTES + '"}'
    assert read_json(text) is None
    with pytest.raises(InvalidInputError, match="larger than"):
        parse_yaml(text)


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "spec_yaml", "key 'a' is repeated"),
        ('{"a": ' + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1) + "}", "spec_yaml", "nested more than"),
        (json.dumps({"a": [1] * 40_000}), "spec_yaml", "holds more than"),
        (json.dumps({str(key): 1 for key in range(40_000)}), "spec_yaml", "holds more than"),
        ('{"input_features": [{"name": "x\\ud83d"}]}', "input_features[0].name", "half a character"),
        ('{"defaults": {"\\ude00": 1}}', "defaults", "half a character"),
    ],
)
def test_json_that_no_spec_is_is_refused_by_field(text: str, field: str, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_json(text)
    assert caught.value.field == field
    assert words in caught.value.message
