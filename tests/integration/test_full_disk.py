"""A disk that is full: what would be written is refused, what runs waits for room, and nothing is lost."""

from __future__ import annotations

import errno
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import headstart
import pytest
from headstart.v1 import training_pb2 as pb

from tests.integration.test_job_lifecycle import epochs_of
from tests.integration.test_outages import readiness, until_ready
from tests.support import reviews
from tests.support.running_server import RunningServer

DATA = headstart.ServerPath("reviews.csv")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(file: Path) -> None:
    """Leaves no byte, by a file that takes the room, and more of it than before."""
    with suppress(OSError), file.open("ab", buffering=0) as filler:
        for size in (1 << 20, 4096, 1):
            with suppress(OSError):
                while True:
                    filler.write(b"\0" * size)


def test_a_full_disk_refuses_what_is_new_and_holds_what_runs(
    small_disk: Path, model_root: Path, data_root: Path, tmp_path: Path
) -> None:
    spec = reviews.spec(epochs=600, early_stop=-1)
    flags = ["--state-dir", str(small_disk), "--data-root", str(data_root), "--model-root", str(model_root)]
    server = RunningServer(tmp_path / "log", *flags, http=True)
    with server, server.client() as client, ThreadPoolExecutor(1) as threads:
        unbroken = client.train(spec, DATA).result()
        until_ready(server, 200)
        run = client.train(spec, DATA)
        next(event for event in run if event.HasField("epoch_finished"))
        watched = threads.submit(lambda: list(client.watch(run.name)))
        taken = small_disk / "everything-else"
        try:
            deadline = time.monotonic() + 60
            while (found := readiness(server))[0] != 503:
                assert time.monotonic() < deadline, found
                fill(taken)  # the job may have given room back that it had taken
            assert "no space left" in found[1]
            fill(taken)
            with pytest.raises(headstart.ResourceExhausted, match="no space left") as refused:
                client.upload_dataset(data_root / "reviews.csv")
            assert refused.value.reason == "DISK_FULL"
            rows = reviews.columns(reviews.make_rows(3), "review", "price", "category")
            assert client.predict(unbroken.model, rows)
            # its worker waits for room to report in, or has met the full disk itself, and waits in the queue
            assert client.jobs.get(run.name).state not in (pb.TrainJob.STATE_FAILED, pb.TrainJob.STATE_CANCELLED)
        finally:
            taken.unlink()
        events = watched.result(180)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert client.jobs.get(run.name).state == pb.TrainJob.STATE_SUCCEEDED
        assert epochs_of(client, run.name) == epochs_of(client, unbroken.name)
        until_ready(server, 200)


def test_a_disk_is_filled_to_its_last_byte(small_disk: Path) -> None:
    fill(small_disk / "everything-else")
    with pytest.raises(OSError, match="No space left") as full:
        (small_disk / "more").write_bytes(b"\0" * 8192)
    assert full.value.errno == errno.ENOSPC
