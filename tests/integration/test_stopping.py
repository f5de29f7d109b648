"""SIGTERM: the server is gone when its grace is over, whatever it was doing, and so are its workers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import headstart
import pytest
from headstart.v1 import training_pb2 as pb

from tests.integration.test_job_lifecycle import start_long, wait_for, worker_pids
from tests.support import reviews
from tests.support.running_server import RunningServer

ROWS = reviews.columns(reviews.make_rows(2), "review", "price", "category")


class SlowServer(RunningServer):
    """Its predictions take two minutes."""

    module = "tests.support.slow_server"


def test_a_running_prediction_a_stream_and_a_job_end_with_the_grace(
    model_root: Path, data_root: Path, tmp_path: Path
) -> None:
    flags = ["--model-root", str(model_root), "--data-root", str(data_root), "--stop-grace", "1"]
    server = SlowServer(tmp_path / "state", *flags)
    left = Event()

    def never() -> Iterator[dict[str, list[str]]]:
        yield ROWS
        left.wait(60)

    server.start()
    hasty = headstart.RetryPolicy(give_up_after=1, connect_timeout=1)
    with (
        server.client() as patient,
        headstart.Client(server.address, retry=hasty) as client,
        ThreadPoolExecutor(2) as callers,
    ):
        model = patient.train(reviews.spec(epochs=1), headstart.ServerPath("reviews.csv")).result().model
        name = start_long(patient)
        workers = worker_pids(server)
        calls: list[Future[Any]] = [
            callers.submit(client.predict, model, ROWS),
            callers.submit(lambda: list(client.predict_stream(model, never()))),
        ]
        deadline = time.monotonic() + 60
        while "predicting slowly" not in server.log:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 60  # the prediction takes 120
        left.set()
        for call in calls:
            with pytest.raises(headstart.HeadstartError):
                call.result(30)
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline, "a worker outlived its server"
        time.sleep(0.05)
    with server, server.client() as client:
        wait_for(client, name, pb.TrainJob.STATE_TRAINING)
        client.jobs.cancel(name)
        wait_for(client, name, pb.TrainJob.STATE_CANCELLED)
