"""Predict: answers, refusals before anything is done, and deadlines."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import grpc
import pytest
from headstart.v1 import prediction_pb2 as pb
from headstart.v1 import table_pb2
from headstart.v1.prediction_pb2_grpc import PredictionServiceStub
from headstart_server.rpc import prediction
from headstart_server.serving.batcher import Batcher
from headstart_server.serving.limiter import Limits

from tests.support.fake_predictor import FakePredictor
from tests.support.measured import Growth
from tests.support.predict_requests import (
    found_of,
    measure_slowly,
    numbers,
    request,
    servicer_of,
    streamed,
    wide,
)
from tests.support.serving_here import served
from tests.support.stubs import stub_of
from tests.support.supervised import until


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


async def test_a_call_whose_answer_would_come_too_late_is_refused_at_once(predictor: FakePredictor) -> None:
    batcher = Batcher(max_batch_rows=1, limits=Limits(wait=600))
    async with served(PredictionService=servicer_of(predictor, batcher)) as channel:
        stub = stub_of(PredictionServiceStub, channel)
        measure_slowly(batcher, 20)
        predictor.hold()
        calls = [asyncio.ensure_future(stub.Predict(request(number))) for number in range(3)]
        while predictor.parsed < 3:
            await asyncio.sleep(0.01)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Predict(request(9), timeout=30)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "deadline leaves" in (refused.value.details() or "")
        predictor.release()
        await asyncio.gather(*calls)
    batcher.close()


async def test_a_deadline_that_passes_is_counted_as_what_the_client_sees(
    stub: PredictionServiceStub, predictor: FakePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headstart_server.rpc.interceptor._DEADLINE_SECONDS", 10)  # how late the server may hear of it
    method = {"service": "headstart.v1.PredictionService", "method": "Predict"}
    late = Growth("headstart_rpcs_total", **method, code="DEADLINE_EXCEEDED")
    gone = Growth("headstart_rpcs_total", **method, code="CANCELLED")
    in_flight = Growth("headstart_rpcs_in_flight", **method)
    predictor.hold()
    for _ in range(5):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stub.Predict(request(1), timeout=1)
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: (late(), in_flight()) == (5, 0))
    leaving = stub.Predict(request(1), timeout=600)
    waiting = asyncio.ensure_future(leaving)
    await until(lambda: in_flight() == 1)
    leaving.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await until(lambda: (late(), gone(), in_flight()) == (5, 1, 0))
    predictor.release()


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
