"""Clusters that are not there, that have yet to grow, and whose workers die again and again."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import headstart
import pytest
import torch
from ray.cluster_utils import Cluster

from tests.support.ray_jobs import follow, members, server_with_ray, spec, train


def _on(resources: dict[str, float], workers: int = 2, *, use_gpu: bool = False, **trainer: Any) -> dict[str, Any]:
    wanted = spec(workers, **trainer)
    wanted["backend"]["trainer"] |= {"resources_per_worker": resources, "use_gpu": use_gpu}
    return wanted


def test_a_cluster_that_is_not_there_is_named(tmp_path: Path) -> None:
    with server_with_ray(tmp_path, "--ray-address", "127.0.0.1:9") as server, server.client() as client:
        started = time.monotonic()
        with pytest.raises(headstart.JobFailed, match=r"the Ray cluster at '127.0.0.1:9' cannot be joined") as failed:
            follow(client.train(spec(2), headstart.ServerPath("reviews.csv")))
        assert failed.value.reason == "NO_CLUSTER"
        assert time.monotonic() - started < 120


def test_a_job_waits_until_its_cluster_has_grown(tmp_path: Path) -> None:
    """As an autoscaler would add nodes: when somebody waits for them."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    flags = ("--ray-address", cluster.address, "--ray-grows")
    try:
        with server_with_ray(tmp_path, *flags) as server, server.client() as client:
            run = client.train(_on({"CPU": 1.0}, epochs=2), headstart.ServerPath("reviews.csv"))
            for event in client.watch(run.name):
                if event.WhichOneof("event") == "warning":
                    assert event.warning.reason == "WAITING_FOR_RESOURCES"
                    assert "waits until it has grown" in event.warning.message
                    break
            cluster.add_node(num_cpus=2)
            found = follow(run)
        assert found.workers == [2, 2]
    finally:
        cluster.shutdown()


def test_a_job_waits_for_a_node_that_it_has_lost(tmp_path: Path) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1)]
    said: list[str] = []
    try:
        with server_with_ray(tmp_path, "--ray-address", cluster.address) as server, server.client() as client:
            run = client.train(_on({"CPU": 1.0}, 1, epochs=60, early_stop=-1), headstart.ServerPath("reviews.csv"))
            for event in run:
                if nodes and event.WhichOneof("event") == "epoch_finished" and event.epoch_finished.epoch == 10:
                    cluster.remove_node(nodes.pop(), allow_graceful=False)  # the epoch comes again
                if event.WhichOneof("event") == "warning":
                    said.append(event.warning.reason)
                    if event.warning.reason == "WAITING_FOR_RESOURCES":
                        assert "has nodes for 0 workers of 1 CPU each, and 1 are needed" in event.warning.message
                        cluster.add_node(num_cpus=1)
            assert run.result().model
        assert said == ["WAITING_FOR_RESOURCES", "RESUMED"]
    finally:
        cluster.shutdown()


@pytest.mark.parametrize("broken", ["raise ImportError('no libcudart here')", "import os; os._exit(1)"])
def test_a_node_that_cannot_run_headstart_is_named(tmp_path: Path, broken: str) -> None:
    package = tmp_path / "python" / "headstart_server"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(broken)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        cluster.add_node(num_cpus=1, env_vars={"PYTHONPATH": str(package.parent)})
        with server_with_ray(tmp_path, "--ray-address", cluster.address) as server, server.client() as client:
            with pytest.raises(headstart.JobFailed, match=r"cannot run Headstart: .*(no libcudart|died)") as failed:
                follow(client.train(_on({"CPU": 1.0}, 1), headstart.ServerPath("reviews.csv")))
            assert failed.value.reason == "NODE_UNFIT"
    finally:
        cluster.shutdown()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine whose GPUs torch cannot use")
@pytest.mark.parametrize("trainable", [True, False])
def test_gpus_that_torch_cannot_use_are_named(tmp_path: Path, trainable: bool) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 1})
    try:
        with server_with_ray(tmp_path, "--ray-address", cluster.address) as server, server.client() as client:
            wanted = _on({"CPU": 0.5, "GPU": 0.5}, use_gpu=True)
            wanted["input_features"][0]["encoder"]["trainable"] = trainable
            with pytest.raises(headstart.JobFailed, match="was given a GPU that torch cannot use there") as failed:
                follow(client.train(wanted, headstart.ServerPath("reviews.csv")))
        assert (failed.value.reason, failed.value.field) == ("NO_GPU", "backend.trainer.use_gpu")
    finally:
        cluster.shutdown()


def test_workers_that_die_again_and_again_fail_the_job(tmp_path: Path) -> None:
    """Each time after they have resumed."""
    killed = 0
    with server_with_ray(tmp_path) as server, server.client() as client:
        run = client.train(spec(1, epochs=100_000, early_stop=-1), headstart.ServerPath("reviews.csv"))
        checkpoints = server.state / run.name.replace("trainJobs", "jobs") / "checkpoints"
        trains = True
        for event in client.watch(run.name):
            if event.WhichOneof("event") == "warning" and event.warning.reason == "RESUMED":
                trains = True
            if event.WhichOneof("event") == "epoch_finished" and trains and any(checkpoints.glob("epoch-*")):
                trains = False
                os.kill(members()[0], signal.SIGKILL)
                killed += 1
        with pytest.raises(headstart.JobFailed, match="the workers failed 4 times") as failed:
            run.result()
        assert failed.value.reason == "WORKERS_FAILED"
        assert killed == 4
        assert members() == []
        assert train(client, spec(1, epochs=1)).model


def test_workers_that_die_while_they_start_fail_the_job(tmp_path: Path) -> None:
    with server_with_ray(tmp_path) as server, server.client() as client:
        run = client.train(spec(1), headstart.ServerPath("reviews.csv"))
        done = threading.Event()

        def kill() -> None:
            while not done.wait(0.05):
                for pid in members():
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            with pytest.raises(headstart.JobFailed, match=r"failed 4 times|could not be started") as failed:
                follow(run)
        finally:
            done.set()
            killer.join()
        assert failed.value.reason == "WORKERS_FAILED"
        assert train(client, spec(1, epochs=1)).model
