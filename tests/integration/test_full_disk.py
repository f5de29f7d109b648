"""A disk that is full: what would be written is refused, what runs waits for room, and nothing is lost."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import headstart
import pytest
from headstart.v1 import training_pb2 as pb

from tests.integration.test_job_lifecycle import epochs_of
from tests.integration.test_outages import readiness, until_ready
from tests.support import reviews
from tests.support.running_server import RunningServer
from tests.support.small_disk import SmallDisk, small_disk_at

DATA = headstart.ServerPath("reviews.csv")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk_at(tmp_path / "small", 32) as disk:
        yield disk


def test_a_full_disk_refuses_what_is_new_and_holds_what_runs(
    small_disk: SmallDisk, model_root: Path, data_root: Path, tmp_path: Path
) -> None:
    spec = reviews.spec(epochs=600, early_stop=-1)
    flags = ["--state-dir", str(small_disk.folder), "--data-root", str(data_root), "--model-root", str(model_root)]
    server = RunningServer(tmp_path / "log", *flags, http=True)
    with server, server.client() as client, ThreadPoolExecutor(1) as threads:
        unbroken = client.train(spec, DATA).result()
        until_ready(server, 200)
        run = client.train(spec, DATA)
        next(event for event in run if event.HasField("epoch_finished"))
        watched = threads.submit(lambda: list(client.watch(run.name)))
        try:
            deadline = time.monotonic() + 60
            while (found := readiness(server))[0] != 503:
                assert time.monotonic() < deadline, found
                small_disk.fill()  # the job may have given room back that it had taken
            assert "no space left" in found[1]
            small_disk.fill()
            with pytest.raises(headstart.ResourceExhausted, match="no space left") as refused:
                client.upload_dataset(data_root / "reviews.csv")
            assert refused.value.reason == "DISK_FULL"
            rows = reviews.columns(reviews.make_rows(3), "review", "price", "category")
            assert client.predict(unbroken.model, rows)
            # its worker waits for room to report in, or has met the full disk itself, and waits in the queue
            assert client.jobs.get(run.name).state not in (pb.TrainJob.STATE_FAILED, pb.TrainJob.STATE_CANCELLED)
        finally:
            small_disk.empty()
        events = watched.result(180)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert client.jobs.get(run.name).state == pb.TrainJob.STATE_SUCCEEDED
        assert epochs_of(client, run.name) == epochs_of(client, unbroken.name)
        until_ready(server, 200)


def test_a_disk_is_filled_to_its_last_byte(small_disk: SmallDisk) -> None:
    small_disk.fill()
    with pytest.raises(OSError, match="No space left") as full:
        (small_disk.folder / "more").write_bytes(b"\0" * 8192)
    assert full.value.errno == errno.ENOSPC
