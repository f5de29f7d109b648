"""A client rides out a server that is restarted on its port."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import headstart

from tests.support import reviews
from tests.support.running_server import RunningServer

ROWS = reviews.columns(reviews.make_rows(3), "review", "price", "category")


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.create_server(("localhost", 0)) as found:
        return int(found.getsockname()[1])


def test_a_prediction_asked_for_during_a_restart_is_answered(model_root: Path, data_root: Path, tmp_path: Path) -> None:
    roots = ["--model-root", str(model_root), "--data-root", str(data_root)]
    server = RunningServer(tmp_path / "state", *roots, "--port", str(free_port()))
    with server, server.client() as client, ThreadPoolExecutor(1) as caller:
        model = client.train(reviews.spec(epochs=1), headstart.ServerPath("reviews.csv")).result().model
        before = client.predict(model, ROWS)["verdict"].probabilities
        server.stop()
        asked = caller.submit(client.predict, model, ROWS)
        time.sleep(0.5)
        assert not asked.done()
        server.start()
        assert asked.result(60)["verdict"].probabilities == before
