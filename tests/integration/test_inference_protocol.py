"""Triton's own client, unchanged, against a real server: every answer is the one that Predict gives."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.models import get_model

from tests.support.images import png
from tests.support.page_examples import example_output, recommending_model
from tests.support.running_server import RunningServer
from tests.support.triton_columns import (
    ANSWERED,
    ROWS,
    TYPES,
    Place,
    agrees,
    arrays,
    inputs,
)

triton: Any = pytest.importorskip(
    "tritonclient.grpc", reason="tritonclient is not installed (python -m pip install 'tritonclient[grpc]')"
)
aio: Any = pytest.importorskip("tritonclient.grpc.aio")
REFUSED: Any = pytest.importorskip("tritonclient.utils").InferenceServerException


def tensors(given: dict[str, Any]) -> list[Any]:
    """As the blocking client takes them."""
    return inputs(given, triton)


@pytest.fixture
def client(place: Place) -> Iterator[Any]:
    with triton.InferenceServerClient(place.server.address) as found:
        yield found


def test_the_server_and_its_models_are_there(client: Any, place: Place) -> None:
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready(place.name) and client.is_model_ready(place.model, "1")
    metadata = client.get_server_metadata()
    assert (metadata.name, list(metadata.extensions)) == ("headstart", ["classification", "model_configuration"])
    index = client.get_model_repository_index(as_json=True)["models"]
    assert {"name": place.name, "version": "1", "state": "READY"} in index


def test_the_model_tells_its_tensors(client: Any, place: Place) -> None:
    metadata = client.get_model_metadata(place.name)
    assert {item.name: item.datatype for item in metadata.inputs} == TYPES
    shapes = {item.name: list(item.shape) for item in (*metadata.inputs, *metadata.outputs)}
    assert (shapes["point"], shapes["price"], shapes["verdict.probabilities"]) == ([-1, 2], [-1], [-1, 2])
    datatypes = {item.name: item.datatype for item in metadata.outputs}
    assert [datatypes[name] for name in ANSWERED] == ["BYTES", "FP64", "BYTES", "BYTES", "BOOL", "FP32"]
    config = client.get_model_config(place.name).config
    assert [item.name for item in config.input if item.optional] == ["price"]
    assert config.parameters["verdict.classes"].string_value == str(list(place.predicted()["verdict"].classes)).replace(
        "'", '"'
    )


@pytest.mark.parametrize("shape", ["flat", "column"])
def test_raw_inputs_are_answered_as_predict_does(client: Any, place: Place, shape: str) -> None:
    given = arrays()
    if shape == "column":
        given = {name: values.reshape(len(ROWS), -1) for name, values in given.items()}
    result = client.infer(place.name, tensors(given), request_id="7")
    agrees(result, place.predicted())
    response = result.get_response()
    assert (response.id, response.model_name, response.model_version) == ("7", place.name, "1")


def test_an_alias_is_a_model(client: Any, place: Place) -> None:
    with place.server.client() as headstart:
        headstart.models.set_alias("reviews@production", place.model)
        try:
            for name in ("reviews@production", "models/reviews@production"):
                assert client.is_model_ready(name)
                assert client.get_model_metadata(name).inputs == client.get_model_metadata(place.name).inputs
                agrees(client.infer(name, tensors(arrays())), place.predicted())
        finally:
            headstart.models.delete_alias("reviews@production")
        with pytest.raises(REFUSED, match="reviews@production does not exist"):
            client.infer("reviews@production", tensors(arrays()))


def test_typed_contents_are_answered_as_predict_does(client: Any, place: Place) -> None:
    request = triton.service_pb2.ModelInferRequest(model_name=place.name)
    fields = {"BYTES": "bytes_contents", "FP64": "fp64_contents", "BOOL": "bool_contents", "FP32": "fp32_contents"}
    for name, values in arrays().items():
        tensor = request.inputs.add(name=name, datatype=TYPES[name], shape=values.shape)
        plain = values.ravel().tolist()
        elements = [item.encode() for item in plain] if TYPES[name] == "BYTES" else plain
        getattr(tensor.contents, fields[TYPES[name]]).extend(elements)
    agrees(triton.InferResult(client._client_stub.ModelInfer(request)), place.predicted())


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.object_])
def test_other_datatypes_stand_for_numbers(client: Any, place: Place, dtype: Any) -> None:
    whole = [{**row, "price": str(round(float(row["price"])))} for row in ROWS]
    numbers = np.array([int(row["price"]) for row in whole])
    price = np.array([row["price"] for row in whole], np.object_) if dtype is np.object_ else numbers.astype(dtype)
    agrees(client.infer(place.name, tensors({**arrays(), "price": price})), place.predicted(whole))


def test_a_missing_cell_and_a_missing_column_are_missing(client: Any, place: Place) -> None:
    without = [{**row, "price": ""} for row in ROWS]
    absent = {name: values for name, values in arrays().items() if name != "price"}
    agrees(client.infer(place.name, tensors(absent)), place.predicted(without))
    agrees(
        client.infer(place.name, tensors({**arrays(), "price": np.full(len(ROWS), np.nan)})), place.predicted(without)
    )


def test_only_wanted_outputs_and_their_classes_come(client: Any, place: Place) -> None:
    wanted = [triton.InferRequestedOutput("verdict", class_count=2), triton.InferRequestedOutput("score")]
    result = client.infer(place.name, tensors(arrays()), outputs=wanted)
    assert result.as_numpy("liked") is None and result.as_numpy("score").shape == (len(ROWS),)
    predicted = place.predicted()["verdict"]
    for row, texts in enumerate(result.as_numpy("verdict")):
        told = [text.decode().split(":") for text in texts]
        ranked = sorted(zip(predicted.probabilities[row], predicted.classes, strict=True), reverse=True)
        assert [label for _, _, label in told] == [label for _, label in ranked]
        np.testing.assert_allclose([float(each[0]) for each in told], [each for each, _ in ranked], atol=1e-5)
        assert [predicted.classes[int(index)] for _, index, _ in told] == [
            label for (label,) in zip([e[2] for e in told])
        ]


BAD = [
    ({"review": np.array(["x"], np.object_)}, "INVALID_ARGUMENT", "'category' is missing"),
    ({"reviev": np.array(["x"], np.object_)}, "INVALID_ARGUMENT", "'reviev' is no input; did you mean 'review'?"),
]


@pytest.mark.parametrize(("given", "code", "said"), BAD)
def test_mistakes_are_named(client: Any, place: Place, given: dict[str, Any], code: str, said: str) -> None:
    with pytest.raises(REFUSED) as refused:
        client.infer(place.name, tensors(given))
    assert refused.value.status() == f"StatusCode.{code}" and said in refused.value.message()


def test_an_output_a_version_and_a_model_that_are_not_there_are_named(client: Any, place: Place) -> None:
    wanted = [triton.InferRequestedOutput("x")]
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: client.infer(place.name, tensors(arrays()), outputs=wanted), "'x' is no output"),
        (lambda: client.infer(place.name, tensors(arrays()), "2"), "'2' is no version of"),
        (lambda: client.infer("nobodys", tensors(arrays())), "models/nobodys does not exist"),
        (lambda: client.is_model_ready("nobodys"), "models/nobodys does not exist"),
    ]
    for call, said in calls:
        with pytest.raises(REFUSED, match=said):
            call()


def test_unknown_parameters_are_told_of_and_change_nothing(client: Any, place: Place) -> None:
    hints: dict[str, Any] = {"priority": 1, "timeout": 10_000_000, "sequence_id": 3, "sequence_start": True}
    result = client.infer(place.name, tensors(arrays()), parameters={"embeding_reuse": "none"}, **hints)
    agrees(result, place.predicted())
    warned = result.get_response().parameters["warnings"].string_param
    assert warned == "parameters['embeding_reuse'] has no effect; did you mean 'embedding_reuse'?"


@pytest.fixture(scope="module")
def image_model(server: RunningServer, model_root: Path) -> str:
    torch.manual_seed(0)
    torch.save(get_model("squeezenet1_1", weights=None).state_dict(), model_root / "tiny-squeeze.pth")
    encoder = {"type": "squeezenet", "model_variant": "1_1", "pretrained_model_name_or_path": "tiny-squeeze.pth"}
    spec = {
        "input_features": [{"name": "photo", "type": "image", "encoder": {**encoder, "trainable": False}}],
        "output_features": [{"name": "label", "type": "category"}],
        "trainer": {"epochs": 1, "batch_size": 8},
    }
    with server.client() as client:
        data = {"photo": [png(number) for number in range(24)], "label": ["a", "b"] * 12}
        found = client.train(spec, data).result().model
    assert isinstance(found, str)
    return found


def test_images_are_the_bytes_of_their_files(client: Any, server: RunningServer, image_model: str) -> None:
    files = [png(number) for number in range(5)]
    result = client.infer(image_model, tensors({"photo": np.array(files, np.object_)}))
    with server.client() as ours:
        predicted = ours.predict(image_model, {"photo": files})["label"]
    assert [item.decode() for item in result.as_numpy("label")] == list(predicted.values)
    np.testing.assert_allclose(result.as_numpy("label.probabilities"), predicted.probabilities, atol=1e-5)
    with pytest.raises(REFUSED, match="inputs: column 'photo', row 2: "):
        client.infer(image_model, tensors({"photo": np.array([files[0], b"no image"], np.object_)}))


def test_the_example_of_the_page_runs(server: RunningServer) -> None:
    printed = example_output("tritonclient", sys.executable, server, recommending_model(server)).split("\n")
    assert re.match(r"\[b'(yes|no)' b'(yes|no)'\] \[\[0\.\d+ +0\.\d+ ?\]", printed[0]), printed
    assert re.match(r"\[\[b'0\.\d+:[01]:(yes|no)'\]", printed[-3]), printed
