"""Servers that share a PostgreSQL and a storage: one queue, and any of them answers for what another runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import LiteralString

import headstart
import psycopg
import pytest
from headstart.v1 import training_pb2 as pb
from headstart.v1.export_pb2 import ExportJob

from tests.integration.test_export_beside_predict import export_processes, stopped, wait_until_gone
from tests.integration.test_job_lifecycle import LONG, until_checkpoint, wait_for
from tests.integration.test_restarts import kill_with_workers
from tests.support import reviews
from tests.support.running_server import RunningServer

ROWS = reviews.columns(reviews.make_rows(3), "review", "price", "category")
DATA = headstart.ServerPath("reviews.csv")
Pair = tuple[RunningServer, RunningServer]


@pytest.fixture
def at(tmp_path: Path, postgres_url: str, model_root: Path, data_root: Path) -> Callable[..., RunningServer]:
    """Makes a server over what the servers of a test share."""
    shared = tmp_path / "shared"
    shared.mkdir()

    def make(name: str, *, storage: bool = True) -> RunningServer:
        flags = ["--database-url", postgres_url, "--migrate", "--lease-seconds", "6"]
        flags += ["--data-root", str(data_root), "--model-root", str(model_root)]
        return RunningServer(tmp_path / name, *flags, *(["--storage-url", str(shared)] if storage else []))

    return make


@pytest.fixture
def pair(at: Callable[..., RunningServer]) -> Iterator[Pair]:
    with at("one") as one, at("other") as other:
        yield one, other


def owner_of(pair: Pair, url: str, name: str) -> Pair:
    """The server that runs a job or an export, and the one that does not."""
    kind, identifier = name.split("/")
    table: LiteralString = "exports" if kind == "exportJobs" else "jobs"
    deadline, runs = time.monotonic() + 60, list[RunningServer]()
    while len(runs) != 1:  # it may just be between two of them
        assert time.monotonic() < deadline, f"{name} is run by {runs}"
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            row = connection.execute(f"SELECT owner FROM {table} WHERE identifier = %s", (identifier,)).fetchone()
        assert row is not None
        # named after its machine, its process, and a number
        runs = [server for server in pair if server.process is not None and f"-{server.process.pid}-" in row[0]]
        time.sleep(0.05)
    return (pair[0], pair[1]) if runs[0] is pair[0] else (pair[1], pair[0])


def started(client: headstart.Client) -> str:
    run = client.train(reviews.spec(**LONG), DATA)
    run.close()
    wait_for(client, run.name, pb.TrainJob.STATE_TRAINING)
    return run.name


def test_any_server_watches_cancels_pauses_and_serves_what_another_runs(pair: Pair) -> None:
    with pair[0].client() as one, pair[1].client() as other:
        runs = [one.train(reviews.spec(epochs=2, random_seed=seed), DATA) for seed in (1, 2)]
        for run in runs:
            events = list(other.watch(run.name))
            assert [event.sequence for event in events] == list(range(1, len(events) + 1))
            assert [event.sequence for event in run] == [event.sequence for event in events]
            model = other.jobs.get(run.name).model
            assert one.predict(model, ROWS)["verdict"] == other.predict(model, ROWS)["verdict"]
        # both have a worker by then, or either may have run both: whoever runs it, each of the two is asked
        names = [started(client) for client in (one, other)]
        for client in (other, one):
            for name in names:
                client.jobs.pause(name)
                wait_for(client, name, pb.TrainJob.STATE_PAUSED)
                client.jobs.resume(name)
                wait_for(client, name, pb.TrainJob.STATE_TRAINING)
        for name, client in zip(names, (other, one), strict=True):
            client.jobs.cancel(name)
            wait_for(client, name, pb.TrainJob.STATE_CANCELLED)


def test_a_server_that_is_killed_loses_its_jobs_to_the_other_and_nobody_who_watches(
    pair: Pair, postgres_url: str
) -> None:
    with pair[0].client() as one, pair[1].client() as other:
        run = one.train(reviews.spec(**LONG), DATA)
        wait_for(one, run.name, pb.TrainJob.STATE_TRAINING)
        until_checkpoint(pair[0].state.parent / "shared", pair[0].state, pair[1].state)
        dead, alive = owner_of(pair, postgres_url, run.name)
        watcher = one if alive is pair[0] else other
        threads = ThreadPoolExecutor(1)
        try:
            watched = threads.submit(lambda: list(watcher.watch(run.name)))
            before = len(warnings_of(watcher, run.name))
            kill_with_workers(dead)
            deadline = time.monotonic() + 120
            while not {"SERVER_LOST", "RESUMED"} <= set(warnings_of(watcher, run.name)[before:]):
                assert time.monotonic() < deadline
                time.sleep(0.2)
            watcher.jobs.cancel(run.name)
            wait_for(watcher, run.name, pb.TrainJob.STATE_CANCELLED)
            events = watched.result(60)
        finally:
            threads.shutdown(wait=False)  # a watch that goes on ends with the servers
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert events[-1].state_change.state == pb.TrainJob.STATE_CANCELLED
        dead.start()
        run.close()


def warnings_of(client: headstart.Client, name: str) -> list[str]:
    """Of the log so far."""
    last, found = client.jobs.get(name).last_sequence, []
    for event in client.watch(name):
        if event.HasField("warning"):
            found.append(event.warning.reason)
        if event.sequence >= last:
            break
    return found


def test_an_export_is_cancelled_by_any_server_and_made_by_the_one_that_is_left(pair: Pair, postgres_url: str) -> None:
    with pair[0].client() as one:
        model = one.train(reviews.spec(epochs=1), DATA).result().model
        names = [one.export_jobs.create(model, file_format).name for file_format in ("onnx", "torchscript")]
        for name in names:
            next(job for job in one.export_jobs.watch(name) if job.state == ExportJob.STATE_RUNNING)
    runs, other = owner_of(pair, postgres_url, names[0])
    pids = export_processes(runs)
    stopped(pids)
    with other.client() as client:
        assert client.export_jobs.cancel(names[0]).state == ExportJob.STATE_CANCELLED
        wait_until_gone(pids)
    dead, alive = owner_of(pair, postgres_url, names[1])
    with alive.client() as client, ThreadPoolExecutor(1) as threads:
        watched = threads.submit(lambda: list(client.export_jobs.watch(names[1])))
        dead.kill()
        *_, ended = watched.result(120)
        assert ended.state == ExportJob.STATE_SUCCEEDED
        assert [artifact.name for artifact in client.artifacts.list(model)] == [ended.artifact]
    dead.start()


def test_a_server_that_shares_no_storage_and_one_in_the_same_folder_are_refused(
    at: Callable[..., RunningServer], pair: Pair
) -> None:
    with pytest.raises(RuntimeError, match="share no files: give all of them the same --storage-url"):
        at("third", storage=False).start()
    with pytest.raises(RuntimeError, match="is used by another server"):
        at("one").start()
    assert pair[0].process is not None and pair[0].process.poll() is None
