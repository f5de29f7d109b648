"""Half a minute without the database, or without the bucket, while work of every kind is under way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import headstart
import numpy as np
import pytest
from headstart.v1 import export_pb2
from headstart.v1 import training_pb2 as pb

from tests.integration.test_job_lifecycle import epochs_of
from tests.integration.test_outages import until_ready
from tests.support import reviews
from tests.support.object_store import s3_away, s3_server
from tests.support.postgres import PostgresCluster, postgres_binaries
from tests.support.running_server import RunningServer

DATA = headstart.ServerPath("reviews.csv")
ROWS = reviews.columns(reviews.make_rows(3), "review", "price", "category")
SPEC = reviews.spec(epochs=600, early_stop=-1)
AWAY_SECONDS = 30.0


class Work:
    """What clients have under way when something goes away."""

    def __init__(self, client: headstart.Client, folder: Path, threads: ThreadPoolExecutor) -> None:
        self._client = client
        self.unbroken = client.train(SPEC, DATA).result()
        client.predict(self.unbroken.model, ROWS)  # what is loaded answers on; another model may have to be fetched
        self.running, self.waiting = client.train(SPEC, DATA), client.train(SPEC, DATA)
        next(event for event in self.running if event.HasField("epoch_finished"))
        self.watched = threads.submit(lambda: list(client.watch(self.running.name)))
        self.export = client.export_jobs.create(self.unbroken.model, "onnx").name
        paths = [folder / f"rows-{number}.csv" for number in range(4)]
        for number, path in enumerate(paths):
            reviews.write_csv(path, reviews.make_rows(500, seed=number))
        self.uploads = [threads.submit(self._insisted, client.upload_dataset, path) for path in paths]
        self.aliased = threads.submit(self._insisted, client.models.set_alias, "reviews@live", self.unbroken.model)

    def require_all(self) -> None:
        """Everything that was acknowledged has come to what it should have."""
        client = self._client
        events = self.watched.result(300)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        for run in (self.running, self.waiting):
            job = client.watch(run.name).result()
            assert job.state == pb.TrainJob.STATE_SUCCEEDED
            assert epochs_of(client, run.name) == epochs_of(client, self.unbroken.name)
            found = [client.predict(model, ROWS)["verdict"].probabilities for model in (job.model, self.unbroken.model)]
            assert np.allclose(found[0], found[1], atol=1e-6)  # texts may be read on another number of threads
        exported = list(client.export_jobs.watch(self.export))[-1]
        assert exported.state == export_pb2.ExportJob.STATE_SUCCEEDED, exported
        assert client.artifacts.get(exported.artifact).files
        datasets: list[Future[Any]] = self.uploads
        for upload in datasets:
            assert client.datasets.get(upload.result(300).name).row_count == 500
        self.aliased.result(300)
        assert client.models.alias("reviews@live").model == self.unbroken.model

    @staticmethod
    def _insisted(call: Callable[..., Any], *arguments: Any) -> Any:
        """As a client that tries again while it is told that something is away."""
        deadline = time.monotonic() + 240
        while True:
            try:
                return call(*arguments)
            except headstart.Unavailable:
                if time.monotonic() > deadline:
                    raise
            time.sleep(1)


@contextmanager
def _database() -> Iterator[tuple[list[str], Callable[[], AbstractContextManager[None]]]]:
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    cluster = PostgresCluster(binaries)

    @contextmanager
    def away() -> Iterator[None]:
        cluster.stop()
        yield
        cluster.start()

    try:
        yield ["--database-url", cluster.database(), "--migrate", "--lease-seconds", "2"], away
    finally:
        cluster.remove()


@contextmanager
def _bucket() -> Iterator[tuple[list[str], Callable[[], AbstractContextManager[None]]]]:
    with s3_server() as bucket:
        yield ["--storage-url", f"{bucket}/state"], s3_away


@pytest.mark.parametrize(("part", "told"), [(_database, "database: "), (_bucket, "storage: ")])
def test_what_was_under_way_ends_as_if_nothing_had_been(
    part: Callable[[], AbstractContextManager[tuple[list[str], Callable[[], AbstractContextManager[None]]]]],
    told: str,
    model_root: Path,
    data_root: Path,
    tmp_path: Path,
) -> None:
    with part() as (flags, away):
        flags = [*flags, "--data-root", str(data_root), "--model-root", str(model_root)]
        server = RunningServer(tmp_path / "state", *flags, http=True)
        with server, server.client() as client, ThreadPoolExecutor(8) as threads:
            work = Work(client, tmp_path, threads)
            with away():
                begin = time.monotonic()
                assert told in until_ready(server, 503)
                while time.monotonic() < begin + AWAY_SECONDS:
                    assert client.predict(work.unbroken.model, ROWS)["verdict"].values
                    time.sleep(0.5)
                assert told in until_ready(server, 503)
            work.require_all()
            until_ready(server, 200)
