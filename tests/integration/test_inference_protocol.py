"""Triton's own client, unchanged, against a real server: every answer is the one that Predict gives."""

from __future__ import annotations

import asyncio
import queue
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.models import get_model

from tests.support import reviews
from tests.support.images import png
from tests.support.page_examples import example_output, recommending_model
from tests.support.running_server import RunningServer

triton: Any = pytest.importorskip(
    "tritonclient.grpc", reason="tritonclient is not installed (python -m pip install 'tritonclient[grpc]')"
)
aio: Any = pytest.importorskip("tritonclient.grpc.aio")
REFUSED: Any = pytest.importorskip("tritonclient.utils").InferenceServerException
ROWS = reviews.make_rows(24, seed=7)
TYPES = {"review": "BYTES", "price": "FP64", "category": "BYTES", "watched": "BOOL", "tags": "BYTES", "point": "FP32"}
ANSWERED = {
    "verdict": "category",
    "score": "number",
    "labels": "set",
    "liked": "binary",
    "truth": "binary",
    "place": "vector",
}


def _rows(count: int, seed: int) -> dict[str, list[str]]:
    rows = reviews.make_rows(count, seed)
    columns = reviews.columns(rows, *rows[0])
    truths = [str(row["watched"] == "yes").lower() for row in rows]
    again = {"labels": columns["tags"], "liked": columns["watched"], "truth": truths, "place": columns["point"]}
    return {**columns, **again}


def _spec() -> dict[str, Any]:
    spec = reviews.spec(epochs=1)
    filled = {"price": {"preprocessing": {"missing_value_strategy": "fill_with_mean"}}}
    others = {"price": "number", "category": "category", "watched": "binary", "tags": "set", "point": "vector"}
    spec["input_features"][1:] = [{"name": name, "type": kind, **filled.get(name, {})} for name, kind in others.items()]
    spec["output_features"] = [{"name": name, "type": kind} for name, kind in ANSWERED.items()]
    return spec


@dataclass(frozen=True)
class Place:
    """A server with a model of every type of column."""

    server: RunningServer
    model: str

    @property
    def name(self) -> str:
        """The model's name in the protocol."""
        return self.model.removeprefix("models/")

    def predicted(self, rows: list[reviews.Row] = ROWS) -> Any:
        """What Predict answers."""
        with self.server.client() as client:
            return client.predict(self.model, reviews.columns(rows, *TYPES))


@pytest.fixture(scope="module")
def place(server: RunningServer) -> Place:
    with server.client() as client:
        model = client.train(_spec(), _rows(120, seed=0)).result().model
    return Place(server, model)


@pytest.fixture
def client(place: Place) -> Iterator[Any]:
    with triton.InferenceServerClient(place.server.address) as found:
        yield found


def arrays(rows: list[reviews.Row] = ROWS) -> dict[str, Any]:
    """The columns as Triton's users have them."""
    texts = {name: np.array([row[name] for row in rows], np.object_) for name in ("review", "category", "tags")}
    return {
        **texts,
        "price": np.array([float(row["price"]) for row in rows]),
        "watched": np.array([row["watched"] == "yes" for row in rows]),
        "point": np.array([row["point"].split() for row in rows], np.float32),
    }


def inputs(given: dict[str, Any], library: Any = triton) -> list[Any]:
    """The columns as tensors."""
    found = []
    for name, values in given.items():
        datatype = {"f": f"FP{values.dtype.itemsize * 8}", "i": "INT32", "b": "BOOL"}.get(values.dtype.kind, "BYTES")
        tensor = library.InferInput(name, list(values.shape), datatype)
        tensor.set_data_from_numpy(values)
        found.append(tensor)
    return found


def agrees(result: Any, predicted: Any) -> None:
    """Every output of an answer is what Predict answers."""
    for name, output in predicted.outputs.items():
        found = result.as_numpy(name)
        if ANSWERED[name] in ("number", "vector"):
            np.testing.assert_allclose(found, output.values, rtol=1e-5, atol=1e-6)
        elif found.dtype == np.bool_:
            assert found.tolist() == list(output.values)
        else:
            joined = [" ".join(item) if isinstance(item, list) else item for item in output.values]
            assert [item.decode() for item in found.tolist()] == joined
        if output.classes:
            probabilities = result.as_numpy(f"{name}.probabilities")
            np.testing.assert_allclose(probabilities, output.probabilities, atol=1e-5)


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
    result = client.infer(place.name, inputs(given), request_id="7")
    agrees(result, place.predicted())
    response = result.get_response()
    assert (response.id, response.model_name, response.model_version) == ("7", place.name, "1")


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
    agrees(client.infer(place.name, inputs({**arrays(), "price": price})), place.predicted(whole))


def test_a_missing_cell_and_a_missing_column_are_missing(client: Any, place: Place) -> None:
    without = [{**row, "price": ""} for row in ROWS]
    absent = {name: values for name, values in arrays().items() if name != "price"}
    agrees(client.infer(place.name, inputs(absent)), place.predicted(without))
    agrees(
        client.infer(place.name, inputs({**arrays(), "price": np.full(len(ROWS), np.nan)})), place.predicted(without)
    )


def test_only_wanted_outputs_and_their_classes_come(client: Any, place: Place) -> None:
    wanted = [triton.InferRequestedOutput("verdict", class_count=2), triton.InferRequestedOutput("score")]
    result = client.infer(place.name, inputs(arrays()), outputs=wanted)
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
        client.infer(place.name, inputs(given))
    assert refused.value.status() == f"StatusCode.{code}" and said in refused.value.message()


def test_an_output_a_version_and_a_model_that_are_not_there_are_named(client: Any, place: Place) -> None:
    wanted = [triton.InferRequestedOutput("x")]
    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: client.infer(place.name, inputs(arrays()), outputs=wanted), "'x' is no output"),
        (lambda: client.infer(place.name, inputs(arrays()), "2"), "'2' is no version of"),
        (lambda: client.infer("nobodys", inputs(arrays())), "models/nobodys does not exist"),
        (lambda: client.is_model_ready("nobodys"), "models/nobodys does not exist"),
    ]
    for call, said in calls:
        with pytest.raises(REFUSED, match=said):
            call()


def test_unknown_parameters_are_told_of_and_change_nothing(client: Any, place: Place) -> None:
    hints: dict[str, Any] = {"priority": 1, "timeout": 10_000_000, "sequence_id": 3, "sequence_start": True}
    result = client.infer(place.name, inputs(arrays()), parameters={"embeding_reuse": "none"}, **hints)
    agrees(result, place.predicted())
    warned = result.get_response().parameters["warnings"].string_param
    assert warned == "parameters['embeding_reuse'] has no effect; did you mean 'embedding_reuse'?"


def test_a_stream_goes_on_behind_a_bad_request(client: Any, place: Place) -> None:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for number in range(9):
        rows = ROWS[number : number + 1 + number % 3]
        given = {"review": np.array(["x"], np.object_)} if number == 4 else arrays(rows)
        client.async_stream_infer(place.name, inputs(given), request_id=str(number))
    for number in range(9):
        result, error = answers.get(timeout=60)
        if number == 4:
            assert "[request id: 4] INVALID_ARGUMENT (MISSING_COLUMN): inputs: 'category' is missing" in error.message()
            continue
        assert result.get_response().id == str(number)
        assert result.get_response().parameters["triton_final_response"].bool_param
        agrees(result, place.predicted(ROWS[number : number + 1 + number % 3]))
    client.stop_stream()


def test_a_stream_ends_with_a_status_where_the_client_asks_for_that(client: Any, place: Place) -> None:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)), headers={"triton_grpc_error": "true"})
    client.async_stream_infer(place.name, inputs(arrays()))
    client.async_stream_infer("nobodys", inputs(arrays()))
    assert answers.get(timeout=60)[1] is None
    assert answers.get(timeout=60)[1].status() == "StatusCode.NOT_FOUND"


def patiently(client: Any, *arguments: Any) -> Any:
    """The answer of a server that may be busy for a while."""
    while True:
        try:
            return client.infer(*arguments)
        except REFUSED as error:
            if error.status() != "StatusCode.RESOURCE_EXHAUSTED":
                raise
            time.sleep(0.2)


async def patiently_in_asyncio(client: Any, *arguments: Any) -> Any:
    """As `patiently`."""
    while True:
        try:
            return await client.infer(*arguments)
        except REFUSED as error:
            if error.status() != "StatusCode.RESOURCE_EXHAUSTED":
                raise
            await asyncio.sleep(0.2)


def test_sixty_four_in_flight_are_each_answered_as_predict_does(client: Any, place: Place) -> None:
    parts = [ROWS[number % 20 : number % 20 + 1 + number % 4] for number in range(64)]
    with ThreadPoolExecutor(64) as pool:
        results = list(pool.map(lambda rows: patiently(client, place.name, inputs(arrays(rows))), parts))
    whole = place.predicted()
    labels = whole["verdict"].values
    for number, result in enumerate(results):
        first = number % 20
        rows = slice(first, first + len(parts[number]))
        assert [item.decode() for item in result.as_numpy("verdict")] == list(labels[rows])
        np.testing.assert_allclose(result.as_numpy("score"), whole["score"].values[rows], rtol=1e-5, atol=1e-6)


async def test_the_client_of_asyncio_is_answered_alike(place: Place) -> None:
    async with aio.InferenceServerClient(place.server.address) as client:
        assert await client.is_server_live() and await client.is_model_ready(place.name)
        predicted = await asyncio.to_thread(place.predicted)
        for result in await asyncio.gather(
            *(patiently_in_asyncio(client, place.name, inputs(arrays(), aio)) for _ in range(64))
        ):
            agrees(result, predicted)

        async def requests() -> Any:
            for name in (place.name, "nobodys", place.name):
                yield {"model_name": name, "inputs": inputs(arrays(), aio), "request_id": name}

        found = [(result, error) async for result, error in client.stream_infer(requests())]
    assert [error is None for _, error in found] == [True, False, True]
    assert "[request id: nobodys] NOT_FOUND" in found[1][1].message()
    agrees(found[2][0], predicted)


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
    result = client.infer(image_model, inputs({"photo": np.array(files, np.object_)}))
    with server.client() as ours:
        predicted = ours.predict(image_model, {"photo": files})["label"]
    assert [item.decode() for item in result.as_numpy("label")] == list(predicted.values)
    np.testing.assert_allclose(result.as_numpy("label.probabilities"), predicted.probabilities, atol=1e-5)
    with pytest.raises(REFUSED, match="inputs: column 'photo', row 2: "):
        client.infer(image_model, inputs({"photo": np.array([files[0], b"no image"], np.object_)}))


def test_the_example_of_the_page_runs(server: RunningServer) -> None:
    printed = example_output("tritonclient", sys.executable, server, recommending_model(server)).split("\n")
    assert re.match(r"\[b'(yes|no)' b'(yes|no)'\] \[\[0\.\d+ +0\.\d+ ?\]", printed[0]), printed
    assert re.match(r"\[\[b'0\.\d+:[01]:(yes|no)'\]", printed[-3]), printed
