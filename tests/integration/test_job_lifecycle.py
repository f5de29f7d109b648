"""Jobs outlive clients and crashes of workers; `test_restarts` has restarts of the server."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import grpc
import headstart
import pytest
from headstart.v1 import training_pb2 as pb
from headstart.v1.training_pb2_grpc import TrainingServiceStub

from tests.support import reviews
from tests.support.running_server import RunningServer

ENDED = {pb.TrainJob.STATE_SUCCEEDED, pb.TrainJob.STATE_FAILED, pb.TrainJob.STATE_CANCELLED}
LONG = {"epochs": 100_000, "early_stop": -1}


def worker_pids(server: RunningServer) -> list[int]:
    """Processes that the server has spawned."""
    assert server.process is not None
    found = subprocess.run(
        ["pgrep", "-P", str(server.process.pid), "-f", "jobs.worker"], capture_output=True, text=True, check=False
    )
    return [int(line) for line in found.stdout.split()]


def wait_for(client: headstart.Client, name: str, *states: int) -> pb.TrainJob:
    """The job once it is in one of some states."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        job = client.jobs.get(name)
        if job.state in states:
            return job
        assert job.state not in ENDED, f"{name} has ended as {pb.TrainJob.State.Name(job.state)}"
        time.sleep(0.1)
    raise AssertionError(f"{name} stays {pb.TrainJob.State.Name(job.state)}")


def until_checkpoint(*roots: Path) -> None:
    """Returns once a job has something to go on from, below one of some folders."""
    deadline = time.monotonic() + 60
    while not any(found for root in roots for found in root.glob("jobs/*/checkpoints/**/epoch-*")):
        assert time.monotonic() < deadline, "no job comes to a checkpoint"
        time.sleep(0.05)


def start_long(client: headstart.Client) -> str:
    """A job that trains until it is stopped; its client has gone."""
    run = client.train(reviews.spec(**LONG), headstart.ServerPath("reviews.csv"))
    name = run.name
    run.close()
    wait_for(client, name, pb.TrainJob.STATE_TRAINING)
    return name


def test_a_job_outlives_its_client_and_is_cancelled_on_request(client: headstart.Client) -> None:
    name = start_long(client)
    assert client.jobs.cancel(name).state == pb.TrainJob.STATE_CANCELLING
    assert wait_for(client, name, pb.TrainJob.STATE_CANCELLED).end_time.seconds > 0
    assert client.jobs.cancel(name).state == pb.TrainJob.STATE_CANCELLED
    ended = client.train(reviews.spec(), headstart.ServerPath("reviews.csv")).result()
    with pytest.raises(headstart.FailedPrecondition, match="has ended"):
        client.jobs.cancel(ended.name)


def test_a_queued_job_is_cancelled_at_once_and_never_runs(client: headstart.Client) -> None:
    first = start_long(client)
    waiting = client.train(reviews.spec(), headstart.ServerPath("reviews.csv"))
    waiting.close()
    assert client.jobs.get(waiting.name).state == pb.TrainJob.STATE_QUEUED
    assert client.jobs.cancel(waiting.name).state == pb.TrainJob.STATE_CANCELLED
    client.jobs.cancel(first)
    wait_for(client, first, pb.TrainJob.STATE_CANCELLED)
    assert not client.jobs.get(waiting.name).HasField("start_time")


def test_any_number_of_watchers_read_the_same_log_from_any_point(client: headstart.Client) -> None:
    run = client.train(reviews.spec(), headstart.ServerPath("reviews.csv"))
    first = [event.sequence for event in run]
    again = [event.sequence for event in client.watch(run.name)]
    tail = [event.sequence for event in client.watch(run.name, after_sequence=4)]
    assert first == again == list(range(1, len(first) + 1))
    assert tail == first[4:]


def test_request_id_makes_creation_safe_to_repeat(client: headstart.Client, tmp_path: Path) -> None:
    data = client.upload_dataset(reviews.write_csv(tmp_path / "own.csv", reviews.make_rows(240, seed=7)))
    first = client.train(reviews.spec(), data, request_id="once")
    second = client.train(reviews.spec(), data, request_id="once")
    assert first.name == second.name
    with pytest.raises(headstart.AlreadyExists, match="another body"):
        client.train(reviews.spec(epochs=9), data, request_id="once")
    assert first.result().model == second.result().model
    client.datasets.delete(data.name)
    assert client.train(reviews.spec(), data, request_id="once").name == first.name  # its data may have gone


def test_ended_jobs_are_listed_by_state_and_deleted(client: headstart.Client) -> None:
    run = client.train(reviews.spec(epochs=1), headstart.ServerPath("reviews.csv"))
    model = run.result().model
    names = [job.name for job in client.jobs.list(states=[pb.TrainJob.STATE_SUCCEEDED])]
    assert run.name in names
    client.jobs.delete(run.name)
    with pytest.raises(headstart.NotFound):
        client.jobs.get(run.name)
    assert client.models.get(model).name == model


def epochs_of(client: headstart.Client, name: str) -> dict[int, dict[str, float]]:
    """What the log of an ended job says of each epoch; those that were told twice were the same."""
    found: dict[int, dict[str, float]] = {}
    for event in client.watch(name):
        if event.HasField("epoch_finished"):
            metrics = dict(event.epoch_finished.validation)
            assert found.setdefault(event.epoch_finished.epoch, metrics) == metrics
    return found


def test_a_job_whose_worker_is_killed_goes_on_and_learns_the_same(
    server: RunningServer, client: headstart.Client
) -> None:
    spec = reviews.spec(epochs=1_000, early_stop=-1)
    unbroken = client.train(spec, headstart.ServerPath("reviews.csv")).result()
    run = client.train(spec, headstart.ServerPath("reviews.csv"))
    next(event for event in run if event.HasField("epoch_finished"))
    for pid in worker_pids(server):
        os.kill(pid, signal.SIGKILL)
    job = run.result()
    warnings = [event.warning for event in client.watch(run.name) if event.HasField("warning")]
    assert "WORKER_RESTARTED" in [warning.reason for warning in warnings]
    assert any("was killed by SIGKILL; the job goes on" in warning.message for warning in warnings)
    assert job.model == f"models/{run.name.split('/')[1]}"
    assert epochs_of(client, run.name) == epochs_of(client, unbroken.name)


def test_a_paused_job_goes_on_from_its_checkpoint_and_learns_the_same(client: headstart.Client) -> None:
    spec = reviews.spec(epochs=1_000, early_stop=-1)
    unbroken = client.train(spec, headstart.ServerPath("reviews.csv")).result()
    run = client.train(spec, headstart.ServerPath("reviews.csv"))
    for event in run:
        if event.epoch_finished.epoch >= 3:
            break
    assert client.jobs.pause(run.name).state == pb.TrainJob.STATE_PAUSING
    paused = wait_for(client, run.name, pb.TrainJob.STATE_PAUSED)
    assert not paused.model
    assert client.jobs.resume(run.name).state == pb.TrainJob.STATE_QUEUED
    assert run.result().model
    assert epochs_of(client, run.name) == epochs_of(client, unbroken.name)
    with pytest.raises(headstart.FailedPrecondition, match="has ended"):
        client.jobs.resume(run.name)


def test_a_stream_says_that_it_is_alive_and_what_a_job_waits_for(
    server: RunningServer, client: headstart.Client
) -> None:
    running = start_long(client)
    waiting = client.train(reviews.spec(), headstart.ServerPath("reviews.csv"))
    waiting.close()
    with grpc.insecure_channel(server.address) as channel:
        stub: Any = TrainingServiceStub(channel)  # type: ignore[no-untyped-call]
        watch = stub.WatchTrainJob(pb.WatchTrainJobRequest(name=waiting.name, heartbeat_seconds=1))
        beat = next(response.event for response in watch if response.event.HasField("heartbeat"))
        watch.cancel()
    assert (beat.sequence, beat.heartbeat.queue.jobs_before) == (1, 0)
    assert "1 of at most 1 run" in beat.heartbeat.queue.reason
    assert client.jobs.get(waiting.name).queue == beat.heartbeat.queue
    for name in (waiting.name, running):
        client.jobs.cancel(name)
        wait_for(client, name, pb.TrainJob.STATE_CANCELLED)


def test_a_loss_that_is_not_finite_is_named_with_what_to_do(client: headstart.Client) -> None:
    spec = reviews.spec(learning_rate=100.0, optimizer={"type": "sgd"}, epochs=50)
    spec["output_features"] = [{"name": "score", "type": "number", "preprocessing": {"normalization": "none"}}]
    spec["input_features"][1]["preprocessing"] = {"normalization": "none"}
    with pytest.raises(headstart.JobFailed) as failed:
        client.train(spec, headstart.ServerPath("reviews.csv")).result()
    assert failed.value.reason == "NON_FINITE_LOSS"
    assert "learning_rate" in str(failed.value)
