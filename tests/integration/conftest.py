"""One server for the tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import headstart
import pytest

from tests.support import reviews
from tests.support.running_server import RunningServer
from tests.support.tiny_models import save_bert
from tests.support.triton_columns import Place, training_rows, training_spec


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
def servers(
    tmp_path_factory: pytest.TempPathFactory, model_root: Path, data_root: Path
) -> Iterator[Callable[[str], RunningServer]]:
    """Starts one server for each arithmetic that is asked for; all of them live until the tests end."""
    roots = ("--model-root", str(model_root), "--data-root", str(data_root), "--warm-workers", "1")
    started: dict[str, RunningServer] = {}
    with ExitStack() as stack:

        def server(arithmetic: str) -> RunningServer:
            if arithmetic not in started:
                flags = (*roots, "--fast-precision", arithmetic)
                started[arithmetic] = stack.enter_context(RunningServer(tmp_path_factory.mktemp("state"), *flags))
            return started[arithmetic]

        yield server


@pytest.fixture(scope="session")
def server(servers: Callable[[str], RunningServer], arithmetic: str) -> RunningServer:
    return servers(arithmetic)


@pytest.fixture
def client(server: RunningServer) -> Iterator[headstart.Client]:
    with server.client() as found:
        yield found


@pytest.fixture(scope="session")
def place(server: RunningServer) -> Place:
    """A model with every type of column, of the tests of the Open Inference Protocol."""
    with server.client() as client:
        model = client.train(training_spec(), training_rows(120, seed=0)).result().model
    return Place(server, model)
