"""A worker that lives and hangs, which Ray alone would wait for."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import headstart
import pytest

from tests.support.ray_jobs import follow, members, server_with_ray, spec, train
from tests.support.running_server import RunningServer

EPOCHS = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with server_with_ray(tmp_path_factory.mktemp("hanging"), "--ray-timeout", "15") as running:
        yield running


def _alive(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


@pytest.mark.parametrize("which", [0, 1])
def test_a_job_survives_a_worker_that_hangs(server: RunningServer, which: int) -> None:
    with server.client() as client:
        local = train(client, spec(epochs=EPOCHS, early_stop=-1))
        run = client.train(spec(2, epochs=EPOCHS, early_stop=-1), headstart.ServerPath("reviews.csv"))
        for event in client.watch(run.name):
            if event.WhichOneof("event") == "epoch_finished" and event.epoch_finished.epoch >= 5:
                break
        hanging = sorted(members())[which]
        os.kill(hanging, signal.SIGSTOP)
        started = time.monotonic()
        found = follow(run)
        print(f"{time.monotonic() - started:.0f} s; {found.warnings}")
    assert "RESUMED" in found.warnings
    assert found.losses.keys() == local.losses.keys()
    for epoch, losses in local.losses.items():
        assert found.losses[epoch] == pytest.approx(losses, abs=1e-5)
    assert not _alive(hanging), "nothing that hangs keeps its memory"
