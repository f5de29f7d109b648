"""PredictStream: answers in order, a status for each request, and what ends them all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from google.rpc.status_pb2 import Status
from headstart.v1 import prediction_pb2 as pb
from headstart.v1.prediction_pb2_grpc import PredictionServiceStub
from headstart_server.core.errors import StoppingError
from headstart_server.serving.batcher import Batcher

from tests.support.fake_predictor import FakePredictor
from tests.support.measured import Growth
from tests.support.predict_requests import (
    error_of,
    found_of,
    measure_slowly,
    numbers,
    request,
    servicer_of,
    streamed,
)
from tests.support.serving_here import served
from tests.support.statuses import without_request_id
from tests.support.stubs import stub_of
from tests.support.supervised import until


async def test_each_request_is_answered_before_the_next_is_sent(stub: PredictionServiceStub) -> None:
    call = stub.PredictStream()
    for number in range(20):
        await call.write(pb.PredictStreamRequest(request=request(number)))
        assert found_of(await asyncio.wait_for(call.read(), 20)) == [2 * number]
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_answers_come_in_the_order_of_requests_whatever_their_size(stub: PredictionServiceStub) -> None:
    sizes = [90, 1, 50, 2, 1, 99, 3]
    call = stub.PredictStream(streamed(*(request(*range(size)) for size in sizes)))
    answers = [found_of(answer) async for answer in call]
    assert answers == [[2 * number for number in range(size)] for size in sizes]


async def test_a_bad_request_has_its_place_and_the_stream_goes_on(stub: PredictionServiceStub) -> None:
    failures = Growth("headstart_stream_failures_total", method="PredictStream", code="INVALID_ARGUMENT")
    asked = [request(1), request(2, embedding_reuse=77), request(3, model="models/other"), request(), request(4)]
    answers = [answer async for answer in stub.PredictStream(streamed(*asked))]
    assert [answer.id for answer in answers] == ["0", "1", "2", "3", "4"]
    assert [found_of(answers[0]), found_of(answers[4])] == [[2], [8]]
    assert failures() == 2
    for answer, code, words, reason in (
        (answers[1], 3, "embedding_reuse", "INVALID_INPUT"),
        (answers[2], 5, "models/other", "NOT_FOUND"),
        (answers[3], 3, "holds no rows", "EMPTY_DATA"),
    ):
        found = error_of(answer)
        assert (found[0], found[2]) == (code, reason)
        assert words in found[1]


@pytest.mark.parametrize(
    "bad",
    [request(1, model="m1"), request(1, top_k=-1), request(*range(101)), pb.PredictRequest(model="models/m1")],
    ids=["name", "top_k", "rows", "no table"],
)
async def test_an_error_in_a_stream_is_that_of_the_call(stub: PredictionServiceStub, bad: pb.PredictRequest) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Predict(bad)
    alone = Status()
    alone.ParseFromString(dict(refused.value.trailing_metadata())["grpc-status-details-bin"])
    (answer,) = [answer async for answer in stub.PredictStream(streamed(bad))]
    assert answer.error == without_request_id(alone)


async def test_an_id_is_returned_and_a_longer_one_is_refused_in_its_place(stub: PredictionServiceStub) -> None:
    ids = ["", "ä" * 128, "x" * 129]
    asked = [pb.PredictStreamRequest(request=request(1), id=identifier) for identifier in ids]
    answers = [answer async for answer in stub.PredictStream(iter(asked))]
    assert [answer.id for answer in answers] == ["", "ä" * 128, "x" * 128]
    assert [answer.WhichOneof("result") for answer in answers] == ["response", "response", "error"]
    assert "129 characters" in answers[2].error.message


async def test_rows_that_cannot_be_read_are_left_out_where_that_is_asked_for(stub: PredictionServiceStub) -> None:
    inf = float("inf")
    asked = [request(1, inf, 3, -inf), request(inf), request(5)]
    mixed, none, sound = [answer async for answer in stub.PredictStream(streamed(*asked, skip_bad_rows=True))]
    assert found_of(mixed) == [2, 6]
    assert [error.row for error in mixed.row_errors] == [1, 3]
    assert "'x', row 2: inf is not finite" in mixed.row_errors[0].status.message
    assert (none.response.outputs[0].feature, found_of(none)) == ("column", [])
    assert [error.row for error in none.row_errors] == [0]
    assert (found_of(sound), list(sound.row_errors)) == ([10], [])


async def test_a_bad_row_fails_its_request_alone_where_nothing_else_is_asked_for(stub: PredictionServiceStub) -> None:
    bad, good = [answer async for answer in stub.PredictStream(streamed(request(1, float("inf")), request(2)))]
    assert error_of(bad)[2] == "BAD_CELL"
    assert found_of(good) == [4]


async def test_what_concerns_all_requests_ends_the_stream(
    stub: PredictionServiceStub, predictor: FakePredictor
) -> None:
    predictor.fails = StoppingError("the server is stopping")
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await stub.PredictStream(streamed(request(1), request(2))).read()
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_stream_that_has_begun_waits_where_a_call_is_refused(predictor: FakePredictor) -> None:
    batcher = Batcher(max_batch_rows=1)
    async with served(PredictionService=servicer_of(predictor, batcher)) as channel:
        stub = stub_of(PredictionServiceStub, channel)
        measure_slowly(batcher)
        predictor.hold()
        stream = stub.PredictStream(streamed(*map(request, range(1, 5))))
        reading = asyncio.create_task(stream.read())
        while predictor.parsed < 4:
            await asyncio.sleep(0.01)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Predict(request(9))
        assert "rows wait that take" in (refused.value.details() or "")
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.PredictStream(streamed(request(9))).read()
        predictor.release()
        assert [found_of(await answer) for answer in (reading, stream.read(), stream.read(), stream.read())] == [
            [2],
            [4],
            [6],
            [8],
        ]
    batcher.close()


async def test_rows_of_a_stream_whose_caller_has_gone_are_not_computed(
    stub: PredictionServiceStub, predictor: FakePredictor
) -> None:
    method = {"service": "headstart.v1.PredictionService", "method": "PredictStream"}
    in_flight = Growth("headstart_rpcs_in_flight", **method)
    predictor.hold()
    call = stub.PredictStream(streamed(*map(request, range(1, 8))))
    reading = asyncio.create_task(call.read())
    assert await asyncio.to_thread(predictor.started.acquire, timeout=30)
    await asyncio.sleep(0.1)  # the next requests wait in the batcher by now
    call.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await until(lambda: in_flight() == 0)
    predictor.release()
    assert numbers(await stub.Predict(request(100))) == [200]
    assert [number for batch in predictor.batches for number in batch] == [1, 100]


async def test_a_stream_is_read_only_a_little_ahead(stub: PredictionServiceStub, predictor: FakePredictor) -> None:
    predictor.hold()
    call = stub.PredictStream(streamed(*map(request, range(200))))
    reading = asyncio.create_task(call.read())
    assert await asyncio.to_thread(predictor.started.acquire, timeout=30)
    await asyncio.sleep(0.3)
    assert predictor.parsed <= 5
    predictor.release()
    assert found_of(await reading) == [0]
    call.cancel()


async def test_a_stream_whose_requests_break_off_ends_with_the_error(predictor: FakePredictor) -> None:
    async def requests() -> AsyncIterator[pb.PredictStreamRequest]:
        yield pb.PredictStreamRequest(request=request(1))
        raise ConnectionError("the iterator broke")

    batcher = Batcher()
    stream = servicer_of(predictor, batcher).PredictStream(requests(), context=None)
    assert found_of(await anext(stream)) == [2]
    with pytest.raises(ConnectionError, match="broke"):
        await asyncio.wait_for(anext(stream), 20)
    batcher.close()
