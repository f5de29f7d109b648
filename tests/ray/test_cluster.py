"""Clusters that are not there, that have yet to grow, and whose workers die again and again."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import headstart
import pytest
from ray.cluster_utils import AutoscalingCluster

from tests.support.ray_jobs import follow, members, server_with_ray, spec, train


def _on(resources: dict[str, float], workers: int = 2, **trainer: Any) -> dict[str, Any]:
    wanted = spec(workers, **trainer)
    wanted["backend"]["trainer"]["resources_per_worker"] = resources
    return wanted


def test_a_cluster_that_is_not_there_is_named(tmp_path: Path) -> None:
    with server_with_ray(tmp_path, "--ray-address", "127.0.0.1:9") as server, server.client() as client:
        started = time.monotonic()
        with pytest.raises(headstart.JobFailed, match=r"the Ray cluster at '127.0.0.1:9' cannot be joined") as failed:
            follow(client.train(spec(2), headstart.ServerPath("reviews.csv")))
        assert failed.value.reason == "NO_CLUSTER"
        assert time.monotonic() - started < 120


@pytest.fixture
def growing() -> Iterator[None]:
    """A head that trains nothing, and up to two nodes of one CPU that come when they are needed."""
    kinds = {"small": {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": 2}}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with mock.patch.dict(os.environ, {"PATH": path}):
        cluster = AutoscalingCluster({"CPU": 0}, kinds, autoscaler_v2=True)
        cluster.start()
        yield
        cluster.shutdown()


def test_a_job_waits_until_its_cluster_has_grown(tmp_path: Path, growing: None) -> None:
    del growing
    with server_with_ray(tmp_path, "--ray-address", "auto") as server, server.client() as client:
        found = train(client, _on({"CPU": 1.0}, epochs=2))
        assert "WAITING_FOR_RESOURCES" in found.warnings
        assert found.workers == [2, 2]
        with pytest.raises(headstart.JobFailed, match=r"3 workers of 1 CPU each do not fit .* room for 2;") as failed:
            train(client, _on({"CPU": 1.0}, 3, epochs=2))
        assert failed.value.reason == "CLUSTER_TOO_SMALL"


def _kill_always(stop: threading.Event) -> None:
    known: set[int] = set()
    while not stop.wait(0.1):
        for pid in set(members()) - known:
            os.kill(pid, signal.SIGKILL)
            known.add(pid)


def test_workers_that_die_again_and_again_fail_the_job(tmp_path: Path) -> None:
    stop = threading.Event()
    killer = threading.Thread(target=_kill_always, args=(stop,))
    with server_with_ray(tmp_path) as server, server.client() as client:
        killer.start()
        with pytest.raises(headstart.JobFailed, match="the workers failed 4 times") as failed:
            train(client, spec(1))
        stop.set()
        killer.join()
        assert failed.value.reason == "WORKERS_FAILED"
        assert train(client, spec(1, epochs=1)).model
