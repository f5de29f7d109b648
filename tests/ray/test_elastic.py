"""A job goes on with fewer workers, and with more once there are more, and learns the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import headstart
import pytest
from ray.cluster_utils import Cluster

from tests.support.ray_jobs import Followed, server_with_ray, spec
from tests.support.ray_nodes import ENVIRONMENT

QUICKLY = {name: value for name, value in ENVIRONMENT.items() if "health" in name}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A node of one CPU, and a head without any."""
    with mock.patch.dict(os.environ, QUICKLY):
        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        found.add_node(num_cpus=1)
        try:
            yield found
        finally:
            found.shutdown()


def _train_until(client: headstart.Client, wanted: dict[str, Any], enough: Callable[[Followed], bool]) -> Followed:
    run = client.train(wanted, headstart.ServerPath("reviews.csv"))
    found = Followed(run.name)
    for event in client.watch(run.name):
        found.add(event)
        if enough(found):
            client.jobs.cancel(run.name)
            break
    with pytest.raises(headstart.JobCancelled):
        run.result()
    return found


@pytest.mark.timeout(900)
def test_a_job_takes_the_workers_that_there_are(cluster: Cluster, tmp_path: Path) -> None:
    """It begins with one, is given another within Ray's minute, and loses it again."""
    added: list[Any] = []

    def enough(found: Followed) -> bool:
        sizes = found.sizes
        if sizes == [1] and not added:
            added.append(cluster.add_node(num_cpus=1))
        if sizes == [1, 2] and len(added) == 1:
            added.append(cluster.remove_node(added[0], allow_graceful=False))
        return sizes == [1, 2, 1]

    endless: dict[str, Any] = {"epochs": 100_000, "early_stop": -1}
    wanted = spec(2, **endless)
    wanted["backend"]["trainer"] |= {"num_workers": {"min": 1, "max": 2}, "resources_per_worker": {"CPU": 1.0}}
    with server_with_ray(tmp_path, "--ray-address", cluster.address) as server, server.client() as client:
        found = _train_until(client, wanted, enough)
        local = _train_until(client, spec(**endless), lambda local: len(local.losses) == len(found.losses))
    assert found.warnings.count("RESUMED") == 2
    assert found.losses.keys() == local.losses.keys()
    for epoch, losses in local.losses.items():
        assert found.losses[epoch] == pytest.approx(losses, abs=1e-5)
