"""Ray, at length: `make test-ray`."""

from __future__ import annotations

import time
from collections.abc import Iterator

import headstart
import pytest

from tests.support.ray_jobs import follow, members, server_with_ray, spec, train
from tests.support.running_server import RunningServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with server_with_ray(tmp_path_factory.mktemp("ray")) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[headstart.Client]:
    with server.client() as found:
        yield found


@pytest.mark.parametrize(("workers", "strategy"), [(4, "ddp"), (2, "fsdp"), (4, "fsdp")])
def test_workers_train_what_one_process_trains(client: headstart.Client, workers: int, strategy: str) -> None:
    local, found = train(client, spec()), train(client, spec(workers, strategy))
    for epoch, losses in local.losses.items():
        assert found.losses[epoch] == pytest.approx(losses, abs=1e-5)
    assert client.export(found.model, "onnx").artifact.max_difference < 1e-4


def test_stored_embeddings_are_trained_on_by_workers(client: headstart.Client) -> None:
    wanted = spec(2)
    wanted["input_features"][0]["encoder"]["trainable"] = False
    found = train(client, wanted)
    assert client.models.get(found.model).metrics.test["verdict.accuracy"] > 0.9


def test_a_cancelled_job_leaves_no_process(client: headstart.Client) -> None:
    run = client.train(spec(2, epochs=100_000, early_stop=-1), headstart.ServerPath("reviews.csv"))
    for event in client.watch(run.name):
        if event.WhichOneof("event") == "epoch_finished":
            break
    client.jobs.cancel(run.name)
    with pytest.raises(headstart.JobCancelled):
        follow(run)
    deadline = time.monotonic() + 30
    while members() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert members() == []
