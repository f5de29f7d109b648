"""What tests of the servicers share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from headstart.v1.prediction_pb2_grpc import PredictionServiceStub
from headstart_server.serving.batcher import Batcher

from tests.support.fake_predictor import FakePredictor
from tests.support.predict_requests import servicer_of
from tests.support.serving_here import served
from tests.support.stubs import stub_of


@pytest.fixture
def predictor() -> FakePredictor:
    return FakePredictor()


@pytest.fixture
async def stub(predictor: FakePredictor) -> AsyncIterator[PredictionServiceStub]:
    batcher = Batcher()
    servicer = servicer_of(predictor, batcher)
    async with served(PredictionService=servicer) as channel:
        yield stub_of(PredictionServiceStub, channel)
    predictor.release()
    batcher.close()
