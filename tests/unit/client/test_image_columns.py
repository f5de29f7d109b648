"""Which columns hold images is read from a spec in whatever form it has."""

from __future__ import annotations

from typing import Any

import pytest
from headstart.v1 import spec_pb2
from headstart.values.image_columns import image_columns_of
from headstart.values.spec import Spec, request_of

SPEC: dict[str, Any] = {
    "input_features": [
        {"name": "photo", "type": "image"},
        {"name": "back", "type": "image", "column": "back_file", "preprocessing": {"bad_image_policy": "drop"}},
        {"name": "title", "type": "text"},
    ],
    "output_features": [{"name": "label", "type": "category"}],
}
MESSAGE = spec_pb2.TrainSpec(
    input_features=[
        spec_pb2.Feature(name="photo", type="image"),
        spec_pb2.Feature(
            name="back",
            type="image",
            column="back_file",
            preprocessing=spec_pb2.Preprocessing(bad_image_policy="drop"),
        ),
        spec_pb2.Feature(name="title", type="text"),
    ]
)


@pytest.mark.parametrize("spec", [SPEC, MESSAGE], ids=["dict", "message"])
def test_a_dict_and_a_message_say_exactly_which_columns_hold_images(spec: Spec) -> None:
    found = image_columns_of(request_of(spec))
    assert found.among(["title", "photo", "back_file", "back"]) == ["photo", "back_file"]
    assert (found.is_lenient("photo"), found.is_lenient("back_file")) == (False, True)


@pytest.mark.parametrize("spec", [SPEC, MESSAGE], ids=["dict", "message"])
def test_the_policy_of_a_column_may_be_everyones_default(spec: Any) -> None:
    if isinstance(spec, dict):
        spec = {**spec, "defaults": {"image": {"preprocessing": {"bad_image_policy": "default"}}}}
    else:
        spec = spec_pb2.TrainSpec.FromString(spec.SerializeToString())
        spec.defaults["image"].preprocessing.bad_image_policy = "default"
    assert image_columns_of(request_of(spec)).is_lenient("photo")


def test_in_yaml_every_column_that_the_text_names_may_hold_images() -> None:
    found = image_columns_of(request_of("input_features: [{name: photo, type: image}, {name: title, type: text}]"))
    assert not found.certain
    assert found.among(["photo", "title", "price"]) == ["photo", "title"]
    assert not found.is_lenient("photo")
    assert image_columns_of(request_of("type: image\nbad_image_policy: drop")).is_lenient("photo")


@pytest.mark.parametrize(
    "spec",
    [
        {"input_features": [{"name": "title", "type": "text"}]},
        "input_features: [{name: title, type: text}]",
        {"input_features": "nonsense"},
        {"input_features": [5]},
        {"defaults": 5},
        "[1]",
    ],
)
def test_without_an_image_input_no_table_is_looked_into(spec: Spec) -> None:
    assert not image_columns_of(request_of(spec)).may_exist
