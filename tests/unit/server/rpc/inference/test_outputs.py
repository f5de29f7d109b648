"""Predictions become output tensors: those that are wanted, of the model's own types, and their classes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.rpc.inference import grpc_service_pb2 as pb
from headstart_server.rpc.inference.outputs import add_outputs, wanted_outputs
from headstart_server.rpc.inference.signature import config_message, metadata_message
from headstart_server.serving.decode import decode

from tests.support.infer_requests import answered, named

SHADE = named("shade", ["red", "blue", "red"], "category", output=True)
SPAM = named("spam", ["ham", "spam"], "binary", output=True)
TRUTH = named("truth", ["false", "true"], "binary", output=True)
PRICE = named("price", [1.0, 3.0], "number", output=True, normalization="none")
TAGS = named("tags", ["a b", "b"], "set", output=True)
POINT = named("point", ["1 2", "3 4"], "vector", output=True)
FEATURES = [SHADE, SPAM, TRUTH, PRICE, TAGS, POINT]
ANSWERS: dict[str, Any] = {
    "shade": [[0.25, 0.75], [0.9, 0.1]],
    "spam": [0.75, 0.25],
    "truth": [0.25, 0.75],
    "price": [1.1, 2.0],
    "tags": [[0.9, 0.8], [0.1, 0.2]],
    "point": [[1.5, -2.0], [0.1, 0.0]],
}


def answer(request: pb.ModelInferRequest, features: list[FittedFeature] = FEATURES) -> pb.ModelInferResponse:
    response = pb.ModelInferResponse()
    decoded = [decode(item, np.array(ANSWERS[item.name], np.float32)) for item in features]
    add_outputs(response, wanted_outputs(request, features), decoded)
    return response


def wants(*names: str, **top: int) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest()
    for name in names:
        request.outputs.add(name=name)
    for name, number in top.items():
        request.outputs.add(name=name).parameters["classification"].int64_param = number
    return request


def single(values: Any) -> Any:
    return np.array(values, np.float32).astype(np.float64).tolist()


def test_all_outputs_come_where_none_is_named() -> None:
    response = answer(wants())
    assert [(item.name, item.datatype, list(item.shape)) for item in response.outputs] == [
        ("shade", "BYTES", [2]),
        ("spam", "BYTES", [2]),
        ("truth", "BOOL", [2]),
        ("price", "FP64", [2]),
        ("tags", "BYTES", [2]),
        ("point", "FP32", [2, 2]),
        ("shade.probabilities", "FP32", [2, 2]),
        ("spam.probabilities", "FP32", [2, 2]),
        ("truth.probabilities", "FP32", [2, 2]),
        ("tags.probabilities", "FP32", [2, 2]),
    ]
    found = answered(response)
    assert SHADE.classes == ["red", "blue"] or SHADE.classes == ["blue", "red"]
    assert found["shade"] == [SHADE.classes[1], SHADE.classes[0]]
    assert (found["spam"], found["truth"], found["tags"]) == (["spam", "ham"], [False, True], ["b a", ""])
    assert found["price"] == single([1.1, 2.0])  # as Predict says it: a float32 in the data's units
    assert (found["point"], found["shade.probabilities"]) == (single(ANSWERS["point"]), single(ANSWERS["shade"]))
    assert found["spam.probabilities"] == [[0.25, 0.75], [0.75, 0.25]]


def test_only_wanted_outputs_come_in_the_order_that_is_asked_for() -> None:
    response = answer(wants("point", "shade.probabilities"))
    assert [item.name for item in response.outputs] == ["point", "shade.probabilities"]
    assert len(response.raw_output_contents) == 2 and not any(item.HasField("contents") for item in response.outputs)


def test_classification_names_the_most_probable_classes() -> None:
    found = answered(answer(wants(shade=1, spam=2, tags=99)))
    first, second = SHADE.classes
    assert found["shade"] == [[f"0.75:1:{second}"], [f"0.9:0:{first}"]]
    assert found["spam"] == [["0.75:1:spam", "0.25:0:ham"], ["0.75:0:ham", "0.25:1:spam"]]
    assert found["tags"] == [["0.9:0:b", "0.8:1:a"], ["0.2:1:a", "0.1:0:b"]]
    request = pb.ModelInferRequest()
    request.outputs.add(name="shade.probabilities").parameters["classification"].uint64_param = 1
    assert answered(answer(request))["shade.probabilities"] == found["shade"]


def test_classification_tells_every_digit_of_a_probability() -> None:
    tiny = np.array([[1e-30, 1 / 3]], np.float32)
    response = pb.ModelInferResponse()
    add_outputs(response, wanted_outputs(wants(shade=2), [SHADE]), [decode(SHADE, tiny)])
    told = [float(text.split(":")[0]) for text in answered(response)["shade"][0]]
    assert np.array(told, np.float32).tolist() == tiny[0, ::-1].tolist()


BAD: list[tuple[dict[str, Any], str, str, str]] = [
    ({"name": "shad"}, "outputs[0].name", "'shad' is no output; did you mean 'shade'? The outputs: shade, spam", ""),
    ({"name": "price"}, "outputs[0].parameters['classification']", "'price' has no classes", "int64_param"),
    ({"name": "shade"}, "outputs[0].parameters['classification']", "is no number of classes", "string_param"),
    ({"name": "shade"}, "outputs[0].parameters['classification']", "is no number of classes", "zero"),
]


@pytest.mark.parametrize(("output", "field", "said", "parameter"), BAD)
def test_an_output_that_is_not_to_be_had_is_named(
    output: dict[str, Any], field: str, said: str, parameter: str
) -> None:
    request = pb.ModelInferRequest()
    value = request.outputs.add(**output)
    if parameter == "string_param":
        value.parameters["classification"].string_param = "3"
    elif parameter:
        value.parameters["classification"].int64_param = 0 if parameter == "zero" else 3
    with pytest.raises(InvalidInputError) as refused:
        wanted_outputs(request, FEATURES)
    assert refused.value.field == field and said in refused.value.listed[0].message


def test_an_output_is_asked_for_once() -> None:
    with pytest.raises(InvalidInputError, match=r"outputs\[1\].name: 'shade' occurs more than once"):
        wanted_outputs(wants("shade", "shade"), FEATURES)


def test_of_any_number_of_mistakes_the_first_are_told() -> None:
    with pytest.raises(InvalidInputError) as refused:
        wanted_outputs(wants(*["x" * 10_000] * 5_000), FEATURES)
    assert len(refused.value.listed) == 20 and len(refused.value.listed[0].message) < 1_000


def test_shared_memory_is_refused_for_outputs_too() -> None:
    request = wants("shade")
    request.outputs[0].parameters["shared_memory_region"].string_param = "x"
    with pytest.raises(InvalidInputError, match="memory is shared with nobody"):
        wanted_outputs(request, FEATURES)


@pytest.mark.parametrize(
    ("values", "preprocessing", "text"),
    [
        (["a b", "b"], {}, "b a"),
        (["big cat|dog", "dog"], {"separator": "|"}, "dog|big cat"),
        (["big cat\x1fdog\x1f", "dog"], {}, "dog\x1fbig cat\x1f"),
        (["a,b\x1fdog\x1f", "dog"], {"separator": ","}, "dog\x1fa,b\x1f"),
        (["new\xa0york\x1fdog\x1f", "dog"], {}, "dog\x1fnew\xa0york\x1f"),
        ([" cat\x1fdog\x1f", "dog"], {"separator": ";"}, "dog\x1f cat\x1f"),
    ],
)
def test_a_set_is_the_text_that_an_input_would_be(values: list[str], preprocessing: dict[str, Any], text: str) -> None:
    feature = named("tags", values, "set", output=True, **preprocessing)
    response = pb.ModelInferResponse()
    decoded = decode(feature, np.array([[0.9, 0.8], [0.1, 0.1]], np.float32))
    add_outputs(response, wanted_outputs(wants("tags"), [feature]), [decoded])
    assert answered(response)["tags"] == [text, ""]


def test_an_output_that_is_called_as_anothers_probabilities_keeps_its_name() -> None:
    other = named("shade.probabilities", [1.0, 3.0], "number", output=True)
    message = metadata_message("m", [], [SHADE, other])
    assert [(item.name, item.datatype) for item in message.outputs] == [
        ("shade", "BYTES"),
        ("shade.probabilities", "FP64"),
    ]


INPUTS = [
    named("review", ["a"], "text"),
    named("price", [1.0], "number", missing_value_strategy="fill_with_mean"),
    named("spam", ["ham", "spam"], "binary"),
    named("point", ["1 2"], "vector"),
    named("photo", [b"x"], "image"),
]


def test_metadata_and_configuration_describe_the_same_tensors() -> None:
    metadata, config = metadata_message("m", INPUTS, FEATURES), config_message("m", INPUTS, FEATURES)
    assert [(item.name, item.datatype, list(item.shape)) for item in metadata.inputs] == [
        ("review", "BYTES", [-1]),
        ("price", "FP64", [-1]),
        ("spam", "BOOL", [-1]),
        ("point", "FP32", [-1, 2]),
        ("photo", "BYTES", [-1]),
    ]
    names = {"TYPE_STRING": "TYPE_BYTES"}
    for tensors, described in ((metadata.inputs, config.input), (metadata.outputs, config.output)):
        assert [(item.name, f"TYPE_{item.datatype}", list(item.shape)) for item in tensors] == [
            (item.name, names.get(pb.DataType.Name(item.data_type), pb.DataType.Name(item.data_type)), list(item.dims))
            for item in described
        ]
    assert [item.optional for item in config.input] == [False, True, False, False, False]
    assert (metadata.platform, config.platform, config.max_batch_size) == ("headstart_bundle", "headstart_bundle", 0)
    classes = {name: json.loads(value.string_value) for name, value in config.parameters.items()}
    assert classes == {f"{item.name}.classes": item.classes for item in (SHADE, SPAM, TRUTH, TAGS)}


def test_a_column_that_several_features_read_is_one_input() -> None:
    filled = named("review", ["a"], "text", missing_value_strategy="fill_with_const")
    config = config_message("m", [filled, named("review", ["a"], "category")], [])
    assert [(item.name, item.optional) for item in config.input] == [("review", False)]
