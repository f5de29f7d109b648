"""Requests of PredictionService over a predictor that doubles numbers, and what their answers hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.rpc.error_details_pb2 import ErrorInfo
from headstart.v1 import prediction_pb2 as pb
from headstart.v1 import table_pb2
from headstart_server.core.executors import Executors
from headstart_server.core.principal import ANONYMOUS, set_caller
from headstart_server.rpc.prediction import PredictionServicer
from headstart_server.service.prediction import PredictionService
from headstart_server.serving.batcher import Batcher

from tests.support.fake_predictor import FakeModelPool, FakePredictor
from tests.support.model_names import plain_names


def request(*numbers: float, model: str = "models/m1", **values: Any) -> pb.PredictRequest:
    """Rows of one number for a model."""
    column = table_pb2.Column(name="x", doubles=table_pb2.DoubleValues(values=numbers))
    return pb.PredictRequest(model=model, table=table_pb2.Table(columns=[column]), **values)


def wide(columns: int) -> pb.PredictRequest:
    """That many columns of one name."""
    column = table_pb2.Column(name="x", doubles=table_pb2.DoubleValues(values=[1.0]))
    return pb.PredictRequest(model="models/m1", table=table_pb2.Table(columns=[column] * columns))


def numbers(response: pb.PredictResponse) -> list[float]:
    """The predictions of an answer."""
    return list(response.outputs[0].numbers.values)


def streamed(*requests: pb.PredictRequest, **values: Any) -> Iterator[pb.PredictStreamRequest]:
    """The requests of a stream, with their places as ids."""
    return (pb.PredictStreamRequest(request=each, id=str(place), **values) for place, each in enumerate(requests))


def found_of(response: pb.PredictStreamResponse) -> list[float]:
    """The predictions of an answer of a stream."""
    assert response.WhichOneof("result") == "response"
    return numbers(response.response)


def error_of(response: pb.PredictStreamResponse) -> tuple[int, str, str]:
    """(code, message, reason)"""
    assert response.WhichOneof("result") == "error"
    info = ErrorInfo()
    response.error.details[0].Unpack(info)
    return response.error.code, response.error.message, info.reason


def servicer_of(predictor: FakePredictor, batcher: Batcher) -> PredictionServicer:
    """The servicer over a predictor that stands in for every model."""
    set_caller(ANONYMOUS)
    pool: Any = FakeModelPool(predictor)
    executors = Executors()
    datasets: Any = None
    predictions = PredictionService(pool, batcher, 100, executors)
    return PredictionServicer(predictions, datasets, plain_names(), executors.rows)


def measure_slowly(batcher: Batcher, seconds: float = 1.0) -> None:
    """Has the batcher believe that a row takes so long."""
    for _ in range(50):
        batcher.limiter.speeds.observe("/m1", 1, seconds)  # of the default tenant
