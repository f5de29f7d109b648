"""PredictMany: each model's answer or error in its place, and one admission for all."""

from __future__ import annotations

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from headstart.v1 import prediction_pb2 as pb
from headstart.v1.prediction_pb2_grpc import PredictionServiceStub
from headstart_server.core.errors import invalid

from tests.support.fake_predictor import FakePredictor
from tests.support.predict_requests import numbers, request


def many(*models: str, **values: object) -> pb.PredictManyRequest:
    """Two rows for some models."""
    return pb.PredictManyRequest(models=models, table=request(1, 2).table, **values)  # type: ignore[arg-type]


async def test_each_model_answers_or_fails_in_its_place(stub: PredictionServiceStub) -> None:
    asked = ["models/nothing", "models/m1", "no name"]
    answer = await stub.PredictMany(many(*asked))
    assert [each.model for each in answer.predictions] == asked
    missing, found, unnamed = answer.predictions
    assert numbers(found.response) == [2, 4]
    assert found.response.model == "models/m1"
    for each, code, reason in (
        (missing, grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
        (unnamed, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT"),
    ):
        info = ErrorInfo()
        each.error.details[0].Unpack(info)
        assert (each.error.code, info.reason) == (code.value[0], reason)
    assert "models[2]" in unnamed.error.message


async def test_a_head_that_fails_is_told_of_its_model(stub: PredictionServiceStub, predictor: FakePredictor) -> None:
    for failure, code, told in (
        (invalid("table", "column 'x' is too odd"), grpc.StatusCode.INVALID_ARGUMENT, "column 'x' is too odd"),
        (ValueError("secret"), grpc.StatusCode.INTERNAL, "its log has the details"),
    ):
        predictor.fails = failure
        [answer] = (await stub.PredictMany(many("models/m1"))).predictions
        assert (answer.error.code, told in answer.error.message) == (code.value[0], True)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (many(), "models: is empty"),
        (many("models/a", "models/b", "models/a"), "'models/a' is named twice"),
        (many(*(f"models/m{number}" for number in range(257))), "257 models; name at most 256"),
        (many("models/m1", top_k=-1), "top_k: -1 is negative"),
        (many("models/m1", embedding_reuse=9), "embedding_reuse: 9 is unknown"),
    ],
)
async def test_what_is_wrong_with_the_whole_is_refused(
    stub: PredictionServiceStub, asked: pb.PredictManyRequest, told: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.PredictMany(asked)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert told in (refused.value.details() or "")


async def test_without_any_model_that_is_there_nothing_is_computed(
    stub: PredictionServiceStub, predictor: FakePredictor
) -> None:
    answer = await stub.PredictMany(many("models/a", "models/b"))
    assert [each.WhichOneof("result") for each in answer.predictions] == ["error", "error"]
    assert predictor.parsed == 0
