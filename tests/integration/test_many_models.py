"""Several models of one encoder answer the same rows in one call as each does alone."""

from __future__ import annotations

import headstart
import pytest

from tests.support import reviews
from tests.support.running_server import RunningServer

ROWS = reviews.make_rows(200)
INPUTS = reviews.columns(ROWS[:20], "review", "price", "category")


@pytest.fixture(scope="module")
def models(server: RunningServer) -> list[str]:
    """Two heads on one frozen encoder."""
    with server.client() as client:
        return [client.train(reviews.spec(epochs=epochs), ROWS).result().model for epochs in (2, 6)]


def test_many_models_answer_as_each_alone(client: headstart.Client, models: list[str]) -> None:
    found = client.predict_many([*models, "models/nothing"], INPUTS, embedding_reuse="none")
    for model in models:
        alone = client.predict(model, INPUTS, embedding_reuse="none")["verdict"]
        assert found[model].model == model
        assert list(found[model]["verdict"].values) == list(alone.values)
        for one, other in zip(found[model]["verdict"].probabilities, alone.probabilities, strict=True):
            assert one == pytest.approx(other, abs=1e-5)
    assert found[models[0]]["verdict"].probabilities != found[models[1]]["verdict"].probabilities
    assert isinstance(found["models/nothing"].error, headstart.NotFound)
    assert not found["models/nothing"].outputs


async def test_the_asyncio_client_asks_many_too(server: RunningServer, models: list[str]) -> None:
    async with headstart.AsyncClient(server.address) as client:
        found = await client.predict_many(models, INPUTS, top_k=1, probabilities=False)
    assert [len(found[model]["verdict"].top) for model in models] == [20, 20]
