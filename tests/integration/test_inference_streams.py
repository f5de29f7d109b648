"""Streams and many calls at a time of Triton's own client: every answer is the one that Predict gives."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tests.support.triton_columns import (
    ROWS,
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


@pytest.fixture
def client(place: Place) -> Iterator[Any]:
    with triton.InferenceServerClient(place.server.address) as found:
        yield found


def test_a_stream_goes_on_behind_a_bad_request(client: Any, place: Place) -> None:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for number in range(9):
        rows = ROWS[number : number + 1 + number % 3]
        given = {"review": np.array(["x"], np.object_)} if number == 4 else arrays(rows)
        client.async_stream_infer(place.name, inputs(given, triton), request_id=str(number))
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
    client.async_stream_infer(place.name, inputs(arrays(), triton))
    client.async_stream_infer("nobodys", inputs(arrays(), triton))
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
        results = list(pool.map(lambda rows: patiently(client, place.name, inputs(arrays(rows), triton)), parts))
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
