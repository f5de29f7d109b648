"""A spec means the same whether it is a dict, text, a file or a message."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from headstart import InvalidArgument
from headstart.v1.spec_pb2 import TrainSpec
from headstart.values.feature import feature_of
from headstart.values.spec import request_of
from headstart.values.yaml_text import yaml_of
from hypothesis import given
from hypothesis import strategies as st

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff")),
)
SPECS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)),
    max_leaves=20,
)


@given(SPECS)
def test_a_dict_is_read_by_yaml_as_it_was_written(spec: Any) -> None:
    assert yaml.safe_load(yaml_of(spec)) == spec


@pytest.mark.parametrize("rate", [1e-5, 2e-5, 1e22, 1.5e-7, 0.001])
def test_learning_rates_arrive_as_numbers(rate: float) -> None:
    assert yaml.safe_load(request_of({"trainer": {"learning_rate": rate}}).spec_yaml)["trainer"] == {
        "learning_rate": rate
    }


def test_text_messages_and_files_are_taken_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_bytes(b"\xef\xbb\xbftrainer: {epochs: 3}\n")
    assert request_of(tmp_path / "spec.yaml").spec_yaml == "trainer: {epochs: 3}\n"
    assert request_of("trainer: {epochs: 3}").spec_yaml == "trainer: {epochs: 3}"
    message = TrainSpec(defaults={})
    assert request_of(message).WhichOneof("spec_source") == "spec"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"trainer": {"learning_rate": math.nan}}, "spec.trainer.learning_rate"),
        ({"input_features": [{"name": object()}]}, "spec.input_features[0].name"),
        ({"trainer": {1: 2}}, "spec.trainer"),
    ],
)
def test_values_that_a_spec_cannot_hold_are_refused_by_path(spec: Any, path: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        request_of(spec)
    assert refused.value.violations[0].field == path


def test_a_dict_nested_without_end_is_refused() -> None:
    spec: dict[str, Any] = {}
    spec["again"] = spec
    with pytest.raises(InvalidArgument, match="nested deeper"):
        request_of(spec)


def test_a_file_name_given_as_text_is_explained() -> None:
    with pytest.raises(InvalidArgument, match=r"pathlib\.Path\('spec\.yaml'\)"):
        request_of("spec.yaml")


def test_a_file_that_is_not_utf8_is_refused_at_its_byte(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_bytes(b"name: caf\xe9")
    with pytest.raises(InvalidArgument, match="byte 9"):
        request_of(tmp_path / "spec.yaml")


def test_what_is_no_spec_is_a_type_error() -> None:
    number: Any = 5
    with pytest.raises(TypeError):
        request_of(number)


def test_a_feature_is_read_from_the_shape_that_specs_have() -> None:
    feature = feature_of({"name": "review", "type": "text", "encoder": {"type": "bert", "trainable": False}})
    assert feature.encoder.type == "bert"
    assert feature.encoder.HasField("trainable")


@pytest.mark.parametrize("feature", [{"nme": "a"}, {"name": 5}, {"encoder": "bert"}])
def test_a_feature_with_an_unknown_key_or_a_wrong_type_is_refused(feature: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        feature_of(feature)
