"""Streams of the Open Inference Protocol: answers in order, errors in their place, a little read ahead."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from headstart_server.core.errors import QuotaError
from headstart_server.rpc.inference.failures import failed_answer

from tests.support.fake_predictor import FakePredictor
from tests.support.infer_requests import infer_request
from tests.support.inference_stub import Stub, numbers, request


async def test_a_stream_answers_in_order_whatever_fails_in_it(stub: Stub) -> None:
    bad = infer_request(y=("FP64", [1.0]))
    bad.id = "bad"
    given = [request(*range(90)), bad, request(1, id="b"), request(1, model="nobodys"), request(2, 3)]
    answers = [answer async for answer in stub.stream(iter(given))]
    assert [answer.error_message.partition(":")[0] for answer in answers] == [
        "",
        "[request id",
        "",
        "NOT_FOUND (NOT_FOUND)",
        "",
    ]
    assert [len(numbers(answers[place].infer_response)) for place in (0, 2, 4)] == [90, 1, 2]
    assert answers[2].infer_response.id == "b"
    assert all(answers[place].infer_response.parameters["triton_final_response"].bool_param for place in (0, 2, 4))


async def test_an_error_in_a_stream_has_what_a_status_has(stub: Stub) -> None:
    bad = infer_request(y=("FP64", [1.0]))
    bad.id = "9"
    [answer] = [answer async for answer in stub.stream(iter([bad]))]
    told = answer.error_message
    assert told.startswith("[request id: 9] INVALID_ARGUMENT (INVALID_INPUT): inputs[0].name: 'y' is no input")
    parameters = {name: value.string_param for name, value in answer.infer_response.parameters.items()}
    assert parameters == {"code": "INVALID_ARGUMENT", "reason": "INVALID_INPUT", "field": "inputs[0].name"}
    assert (answer.infer_response.id, answer.infer_response.model_name) == ("9", "m1")


def test_an_error_of_a_busy_server_says_when_to_try_again() -> None:
    answer = failed_answer(request(1, id="3"), QuotaError("too many rows", tenant="t", retry_after=1.25))
    assert answer.infer_response.parameters["retry_after_ms"].int64_param == 1250
    assert answer.error_message == "[request id: 3] RESOURCE_EXHAUSTED (QUOTA_EXCEEDED): too many rows"


async def test_a_stream_ends_with_the_status_where_that_is_asked_for(stub: Stub) -> None:
    call = stub.stream(iter([request(1), request(1, model="nobodys")]), ("triton_grpc_error", "true"))
    assert numbers((await call.read()).infer_response) == [2]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_body_that_is_no_message_ends_a_stream_behind_the_answers_before_it(stub: Stub) -> None:
    call = stub.stream(iter([request(1), b"\xff\xff"]))
    assert numbers((await call.read()).infer_response) == [2]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_each_request_of_a_stream_is_answered_before_the_next_is_sent(stub: Stub) -> None:
    call = stub.stream()
    for number in range(20):
        await call.write(request(number))
        assert numbers((await asyncio.wait_for(call.read(), 20)).infer_response) == [2 * number]
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_a_stream_is_read_only_a_little_ahead(stub: Stub, predictor: FakePredictor) -> None:
    predictor.hold()
    call = stub.stream(iter([request(number) for number in range(50)]))
    reading = asyncio.create_task(call.read())
    await asyncio.to_thread(predictor.started.acquire)
    await asyncio.sleep(0.3)
    assert predictor.parsed <= 4
    predictor.release()
    await reading
    call.cancel()
