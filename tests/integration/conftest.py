"""One server for the tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import headstart
import pytest

from tests.support import reviews
from tests.support.running_server import RunningServer
from tests.support.tiny_models import save_bert


@pytest.fixture(scope="session")
def model_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    save_bert(root / "tiny-bert")
    return root


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    reviews.write_csv(root / "reviews.csv", reviews.make_rows(240))
    return root


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, model_root: Path, data_root: Path, arithmetic: str
) -> Iterator[RunningServer]:
    state = tmp_path_factory.mktemp("state")
    roots = ["--model-root", str(model_root), "--data-root", str(data_root)]
    with RunningServer(state, *roots, "--fast-precision", arithmetic) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[headstart.Client]:
    with server.client() as found:
        yield found
