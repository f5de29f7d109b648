"""What was left when a server ended is finished by the next one, and clients ride out the time between the two."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import headstart
from headstart.v1 import training_pb2 as pb

from tests.integration.test_job_lifecycle import start_long, until_checkpoint, wait_for, worker_pids
from tests.support import reviews
from tests.support.running_server import RunningServer

ROWS = reviews.columns(reviews.make_rows(3), "review", "price", "category")


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.create_server(("localhost", 0)) as found:
        return int(found.getsockname()[1])


def kill_with_workers(server: RunningServer) -> None:
    """Returns once none of its workers is left."""
    workers = worker_pids(server)
    server.kill()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline, "a worker outlived its server"
        time.sleep(0.1)


def test_a_restarted_server_finishes_what_was_left_and_answers_who_waited(
    model_root: Path, data_root: Path, tmp_path: Path
) -> None:
    roots = ["--model-root", str(model_root), "--data-root", str(data_root)]
    server = RunningServer(tmp_path / "state", *roots, "--port", str(free_port()))
    with server, server.client() as client:
        name = start_long(client)
        queued = client.train(reviews.spec(epochs=1), headstart.ServerPath("reviews.csv"))
        queued.close()
        until_checkpoint(server.state)
        kill_with_workers(server)
        server.start()
        wait_for(client, name, pb.TrainJob.STATE_TRAINING)
        client.jobs.cancel(name)
        wait_for(client, name, pb.TrainJob.STATE_CANCELLED)
        warnings = [event.warning.reason for event in client.watch(name) if event.HasField("warning")]
        assert "RESUMED" in warnings
        model = wait_for(client, queued.name, pb.TrainJob.STATE_SUCCEEDED).model
        before = client.predict(model, ROWS)["verdict"].probabilities
        assert server.stop() == 0
        with ThreadPoolExecutor(1) as caller:
            asked = caller.submit(client.predict, model, ROWS)
            time.sleep(0.5)
            assert not asked.done()
            server.start()
            assert asked.result(60)["verdict"].probabilities == before
