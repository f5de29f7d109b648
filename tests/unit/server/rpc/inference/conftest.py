"""The protocol's servicer over a connection."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from headstart_server.serving.batcher import Batcher

from tests.support.fake_predictor import FakePredictor
from tests.support.inference_stub import Stub, servicer_of
from tests.support.serving_here import served


@pytest.fixture
def predictor() -> FakePredictor:
    return FakePredictor()


@pytest.fixture
async def stub(predictor: FakePredictor) -> AsyncIterator[Stub]:
    batcher = Batcher()
    async with served(GRPCInferenceService=servicer_of(predictor, batcher)) as channel:
        yield Stub(channel)
    predictor.release()
    batcher.close()
