"""Nodes of a cluster are killed and cut off while a job trains on them; it gives what an unbroken one gives.

They have nothing in common but the network: data, embeddings, checkpoints and models travel through an S3 server.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import headstart
import numpy as np
import pytest
from headstart.v1 import training_pb2 as pb
from headstart_server.storage.object_store import object_store_at

from tests.support import reviews
from tests.support.object_store import s3_server
from tests.support.ray_jobs import children, follow, server_with_ray, spec, train
from tests.support.ray_nodes import ENVIRONMENT, HOST, Nodes, possible, ray_nodes
from tests.support.running_server import RunningServer

pytestmark = pytest.mark.skipif(bool(possible()), reason=possible())

ROWS = reviews.columns(reviews.make_rows(20, seed=3), "review", "price", "category")
EPOCHS = 60
ONE = {"CPU": 1.0}
ALONE_SECONDS = 400.0
"""Within which a node that was cut off ends what it ran: Ray's raylet gives up after about 210."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Nodes]]:
    root = tmp_path_factory.mktemp("nodes")
    with mock.patch.dict(os.environ, ENVIRONMENT), s3_server(HOST) as bucket, ray_nodes(4) as nodes:
        flags = ("--ray-address", nodes.address, "--storage-url", f"{bucket}/state", "--data-root", f"{bucket}/data")
        with server_with_ray(root, *flags) as running:
            object_store_at(bucket, "url").publish(root / "data" / "reviews.csv", "data/reviews.csv")
            yield running, nodes


def _when(client: headstart.Client, job: str, epoch: int) -> None:
    for event in client.watch(job):
        if event.WhichOneof("event") == "epoch_finished" and event.epoch_finished.epoch >= epoch:
            return


def _break(server: RunningServer, nodes: Nodes, job: str, broken: list[str]) -> None:
    """Kills a node that trains; when the job goes on elsewhere, cuts off one that trains."""
    with server.client() as client:
        _when(client, job, 10)
        first = nodes.training()[0]
        first.kill()
        broken.append(first.name)
        _when(client, job, 30)
        second = nodes.training()[0]
        second.cut_off()
        broken.append(second.name)


def test_a_job_survives_a_killed_node_and_one_that_was_cut_off(server: tuple[RunningServer, Nodes]) -> None:
    running, nodes = server
    with running.client() as client:
        local = train(client, spec(epochs=EPOCHS, early_stop=-1))
        wanted = spec(2, epochs=EPOCHS, early_stop=-1)
        wanted["backend"]["trainer"]["resources_per_worker"] = ONE
        run = client.train(wanted, headstart.ServerPath("reviews.csv"))
        broken: list[str] = []
        breaker = threading.Thread(target=_break, args=(running, nodes, run.name, broken))
        started = time.monotonic()
        breaker.start()
        found = follow(run)
        breaker.join()
        print(f"{time.monotonic() - started:.0f} s; broken: {broken}; {found.warnings}")
        assert len(set(broken)) == 2
        assert found.warnings.count("RESUMED") >= 2
        for epoch, losses in local.losses.items():
            assert found.losses[epoch] == pytest.approx(losses, abs=1e-5)
        predicted, expected = (
            np.array(client.predict(model, ROWS)["verdict"].probabilities) for model in (found.model, local.model)
        )
        np.testing.assert_allclose(predicted, expected, atol=1e-5)
        assert client.jobs.get(run.name).state == pb.TrainJob.STATE_SUCCEEDED


def _kill_driver(server: RunningServer, job: str, after: int, killed: list[int]) -> None:
    with server.client() as client:
        _when(client, job, after)
    assert server.process is not None
    for pid in children(server.process.pid):
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)


def test_a_job_survives_the_process_that_drives_it(server: tuple[RunningServer, Nodes]) -> None:
    running, nodes = server
    wanted = spec(2, epochs=EPOCHS, early_stop=-1)
    wanted["backend"]["trainer"]["resources_per_worker"] = ONE
    with running.client() as client:
        local = train(client, spec(epochs=EPOCHS, early_stop=-1))
        run = client.train(wanted, headstart.ServerPath("reviews.csv"))
        killed: list[int] = []
        killer = threading.Thread(target=_kill_driver, args=(running, run.name, 10, killed))
        started = time.monotonic()
        killer.start()
        found = follow(run)
        killer.join()
        print(f"{time.monotonic() - started:.0f} s; killed: {killed}; {found.warnings}")
    assert found.warnings.count("WORKER_RESTARTED") == 1 and "RESUMED" in found.warnings
    assert sorted(found.losses) == list(range(1, EPOCHS + 1)), "reported later, where nobody followed them"
    for epoch, losses in found.losses.items():
        assert losses == pytest.approx(local.losses[epoch], abs=1e-5)
    assert all(node.is_cut_off for node in nodes.training()), "nobody trains for a driver that is gone"


def test_nodes_encode_through_the_object_store(server: tuple[RunningServer, Nodes], tmp_path: Path) -> None:
    running, nodes = server
    wanted = spec(2, epochs=2)
    wanted["backend"]["trainer"]["resources_per_worker"] = ONE
    wanted["input_features"][0]["encoder"]["trainable"] = False
    with running.client() as client:
        job = client.train(wanted, headstart.ServerPath("reviews.csv")).result()
        again = client.train({**wanted, "backend": {"type": "local"}}, headstart.ServerPath("reviews.csv")).result()
    progress = job.encode_progress
    assert (progress.rows_encoded, sum(worker.rows for worker in progress.workers)) == (240, 240)
    assert 1 <= len(progress.workers) <= 2
    assert (again.encode_progress.rows_encoded, again.encode_progress.rows_found) == (0, 240)
    assert any((node.state / "embeddings").is_dir() for node in nodes.all)


def test_a_node_that_was_cut_off_ends_what_it_ran(server: tuple[RunningServer, Nodes]) -> None:
    _, nodes = server
    lonely = [node for node in nodes.all if node.is_cut_off]
    assert len(lonely) == 1
    deadline = time.monotonic() + ALONE_SECONDS
    while lonely[0].trains:
        assert time.monotonic() < deadline, "a worker that nobody reaches keeps its memory"
        time.sleep(1)
