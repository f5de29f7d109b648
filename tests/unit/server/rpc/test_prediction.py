"""PredictStream over a real connection: each answer at once and in order, and no work for those who have gone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from headstart.v1 import prediction_pb2 as pb
from headstart.v1 import table_pb2
from headstart.v1.prediction_pb2_grpc import PredictionServiceStub
from headstart_server.core.errors import StoppingError
from headstart_server.core.executors import Executors
from headstart_server.core.principal import ANONYMOUS
from headstart_server.rpc import prediction
from headstart_server.rpc.callers import set_caller
from headstart_server.rpc.prediction import PredictionServicer
from headstart_server.service.prediction import PredictionService
from headstart_server.serving.batcher import Batcher
from headstart_server.serving.limiter import Limits

from tests.support.fake_predictor import FakeModelPool, FakePredictor
from tests.support.measured import Growth
from tests.support.model_names import plain_names
from tests.support.serving_here import served
from tests.support.statuses import without_request_id
from tests.support.stubs import stub_of


@pytest.fixture
def predictor() -> FakePredictor:
    return FakePredictor()


def servicer_of(predictor: FakePredictor, batcher: Batcher) -> PredictionServicer:
    set_caller(ANONYMOUS)
    pool: Any = FakeModelPool(predictor)
    executors = Executors()
    return PredictionServicer(PredictionService(pool, batcher, 100, executors), plain_names(), executors.rows)


@pytest.fixture
async def stub(predictor: FakePredictor) -> AsyncIterator[PredictionServiceStub]:
    batcher = Batcher()
    servicer = servicer_of(predictor, batcher)
    async with served(PredictionService=servicer) as channel:
        yield stub_of(PredictionServiceStub, channel)
    predictor.release()
    batcher.close()


def request(*numbers: float, model: str = "models/m1", **values: Any) -> pb.PredictRequest:
    column = table_pb2.Column(name="x", doubles=table_pb2.DoubleValues(values=numbers))
    return pb.PredictRequest(model=model, table=table_pb2.Table(columns=[column]), **values)


def wide(columns: int) -> pb.PredictRequest:
    """That many columns of one name."""
    column = table_pb2.Column(name="x", doubles=table_pb2.DoubleValues(values=[1.0]))
    return pb.PredictRequest(model="models/m1", table=table_pb2.Table(columns=[column] * columns))


def numbers(response: pb.PredictResponse) -> list[float]:
    return list(response.outputs[0].numbers.values)


def streamed(*requests: pb.PredictRequest, **values: Any) -> Iterator[pb.PredictStreamRequest]:
    return (pb.PredictStreamRequest(request=each, id=str(place), **values) for place, each in enumerate(requests))


def found_of(response: pb.PredictStreamResponse) -> list[float]:
    assert response.WhichOneof("result") == "response"
    return numbers(response.response)


def error_of(response: pb.PredictStreamResponse) -> tuple[int, str, str]:
    """(code, message, reason)"""
    assert response.WhichOneof("result") == "error"
    info = ErrorInfo()
    response.error.details[0].Unpack(info)
    return response.error.code, response.error.message, info.reason


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


async def test_columns_that_no_model_reads_fail_nothing(stub: PredictionServiceStub) -> None:
    asked = request(1, 2)
    asked.table.columns.add(name="unused", doubles=table_pb2.DoubleValues(values=[1.0, float("inf")]))
    assert numbers(await stub.Predict(asked)) == [2, 4]
    [answer] = [answer async for answer in stub.PredictStream(streamed(asked, skip_bad_rows=True))]
    assert (found_of(answer), list(answer.row_errors)) == ([2, 4], [])
    asked.table.columns[1].doubles.values.append(3)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Predict(asked)
    assert "'unused' has 3 rows, 'x' has 2" in (refused.value.details() or "")


async def test_a_large_answer_is_made_beside_the_event_loop(
    stub: PredictionServiceStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set[str]()
    made = prediction._response

    def noted(*given: Any) -> pb.PredictResponse:
        threads.add(threading.current_thread().name)
        return made(*given)

    monkeypatch.setattr(prediction, "_response", noted)
    await stub.Predict(request(1))
    assert threads == {threading.main_thread().name}
    monkeypatch.setattr(prediction, "_INLINE_VALUES", 2)
    assert numbers(await stub.Predict(request(1, 2, 3))) == [2, 4, 6]
    assert len(threads) == 2


async def test_what_concerns_all_requests_ends_the_stream(
    stub: PredictionServiceStub, predictor: FakePredictor
) -> None:
    predictor.fails = StoppingError("the server is stopping")
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await stub.PredictStream(streamed(request(1), request(2))).read()
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_request_that_finds_no_room_is_refused_before_its_rows_are_read(predictor: FakePredictor) -> None:
    batcher = Batcher(max_batch_rows=1, limits=Limits(rows=4))
    servicer = servicer_of(predictor, batcher)
    predictor.hold()
    async with served(PredictionService=servicer) as channel:
        stub = stub_of(PredictionServiceStub, channel)
        running = stub.Predict(request(1))
        assert await asyncio.to_thread(predictor.started.acquire, timeout=30)
        waiting = stub.Predict(request(2))
        while predictor.parsed < 2:
            await asyncio.sleep(0.01)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Predict(request(3))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert int(dict(refused.value.trailing_metadata())["grpc-retry-pushback-ms"]) > 0
        assert predictor.parsed == 2
        predictor.release()
        assert [numbers(await call) for call in (running, waiting)] == [[2], [4]]
    batcher.close()


def measure_slowly(batcher: Batcher) -> None:
    """Has the batcher believe that a row takes a second."""
    for _ in range(50):
        batcher.limiter.speeds.observe("/m1", 1, 1.0)  # of the default tenant


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


async def test_a_call_whose_answer_would_come_too_late_is_refused_at_once(predictor: FakePredictor) -> None:
    batcher = Batcher(max_batch_rows=1, limits=Limits(wait=60))
    async with served(PredictionService=servicer_of(predictor, batcher)) as channel:
        stub = stub_of(PredictionServiceStub, channel)
        measure_slowly(batcher)
        predictor.hold()
        calls = [asyncio.ensure_future(stub.Predict(request(number))) for number in range(3)]
        while predictor.parsed < 3:
            await asyncio.sleep(0.01)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Predict(request(9), timeout=2)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "deadline leaves" in (refused.value.details() or "")
        predictor.release()
        await asyncio.gather(*calls)
    batcher.close()


async def test_a_deadline_that_passes_is_counted_as_what_the_client_sees(
    stub: PredictionServiceStub, predictor: FakePredictor
) -> None:
    method = {"service": "headstart.v1.PredictionService", "method": "Predict"}
    late = Growth("headstart_rpcs_total", **method, code="DEADLINE_EXCEEDED")
    gone = Growth("headstart_rpcs_total", **method, code="CANCELLED")
    predictor.hold()
    for _ in range(5):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stub.Predict(request(1), timeout=0.2)
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    leaving = stub.Predict(request(1), timeout=30)
    waiting = asyncio.ensure_future(leaving)
    await asyncio.sleep(0.1)
    leaving.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.sleep(0.2)
    predictor.release()
    assert (late(), gone()) == (5, 1)


async def test_rows_of_a_stream_whose_caller_has_gone_are_not_computed(
    stub: PredictionServiceStub, predictor: FakePredictor
) -> None:
    predictor.hold()
    call = stub.PredictStream(streamed(*map(request, range(1, 8))))
    reading = asyncio.create_task(call.read())
    assert await asyncio.to_thread(predictor.started.acquire, timeout=30)
    await asyncio.sleep(0.1)  # the next requests wait in the batcher by now
    call.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await asyncio.sleep(0.1)
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


@pytest.mark.parametrize(
    ("bad", "field", "code"),
    [
        (request(1, embedding_reuse=77), "embedding_reuse", grpc.StatusCode.INVALID_ARGUMENT),
        (request(1, top_k=-1), "top_k", grpc.StatusCode.INVALID_ARGUMENT),
        (request(1, model="m1"), "model", grpc.StatusCode.INVALID_ARGUMENT),
        (request(*range(101)), "at most 100", grpc.StatusCode.INVALID_ARGUMENT),
        (pb.PredictRequest(model="models/m1"), "table.columns", grpc.StatusCode.INVALID_ARGUMENT),
        (wide(20_001), "table.columns: holds 20001 columns; send at most 20000", grpc.StatusCode.INVALID_ARGUMENT),
        (wide(20_000), "'x' occurs 20000 times", grpc.StatusCode.INVALID_ARGUMENT),
        (request(1, model="models/other"), "models/other", grpc.StatusCode.NOT_FOUND),
    ],
    ids=["reuse", "top_k", "name", "rows", "no table", "too wide", "twice", "no model"],
)
async def test_a_bad_request_is_named(
    stub: PredictionServiceStub, bad: pb.PredictRequest, field: str, code: grpc.StatusCode
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Predict(bad)
    assert refused.value.code() is code
    assert field in (refused.value.details() or "")


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
