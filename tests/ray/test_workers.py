"""Ray, at length: `make test-ray`."""

from __future__ import annotations

import importlib.util
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


_WITH_DEEPSPEED = pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None, reason="needs DeepSpeed: pip install 'headstart[deepspeed]'"
)


@pytest.mark.parametrize(
    ("workers", "strategy"),
    [(4, "ddp"), (2, "fsdp"), (4, "fsdp"), pytest.param(2, "deepspeed", marks=_WITH_DEEPSPEED)],
)
def test_workers_train_what_one_process_trains(client: headstart.Client, workers: int, strategy: str) -> None:
    local, found = train(client, spec()), train(client, spec(workers, strategy))
    for epoch, losses in local.losses.items():
        assert found.losses[epoch] == pytest.approx(losses, abs=1e-5)
    assert client.export(found.model, "onnx").artifact.max_difference < 1e-4


def test_stored_embeddings_are_trained_on_by_workers(client: headstart.Client) -> None:
    runs = []
    for wanted in (spec(), spec(2)):
        wanted["input_features"][0]["encoder"]["trainable"] = False
        runs.append(train(client, wanted))
    local, found = runs
    assert local.losses.keys() == found.losses.keys()
    for epoch, losses in local.losses.items():
        assert found.losses[epoch] == pytest.approx(losses, abs=1e-5)


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
