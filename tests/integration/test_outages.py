"""A database, or a bucket, that goes away and comes back: nothing is lost, and the server says what is missing."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import headstart
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headstart.v1 import training_pb2 as pb

from tests.integration.test_job_lifecycle import epochs_of
from tests.support import reviews
from tests.support.object_store import s3_away, s3_server
from tests.support.postgres import PostgresCluster, postgres_binaries
from tests.support.running_server import RunningServer

DATA = headstart.ServerPath("reviews.csv")


@pytest.fixture
def cluster() -> Iterator[PostgresCluster]:
    """PostgreSQL of this test's own, which it may stop."""
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    made = PostgresCluster(binaries)
    yield made
    made.remove()


OF_THE_CHART = "?service=PredictionService"
"""What the chart's readiness probe asks for."""


def readiness(server: RunningServer, query: str = "") -> tuple[int, str]:
    """What an orchestrator is told."""
    try:
        with urllib.request.urlopen(f"{server.url}/readyz{query}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()
    except OSError as error:
        return 0, str(error)


def until_ready(server: RunningServer, expected: int) -> str:
    deadline = time.monotonic() + 60
    while (found := readiness(server))[0] != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found[1]


def serves(server: RunningServer, service: str) -> bool:
    with grpc.insecure_channel(server.address) as channel:
        request = health_pb2.HealthCheckRequest(service=f"headstart.v1.{service}")
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=60)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def test_a_job_trains_on_while_its_database_is_away_and_loses_nothing(
    cluster: PostgresCluster, model_root: Path, data_root: Path, tmp_path: Path
) -> None:
    spec = reviews.spec(epochs=600, early_stop=-1)
    flags = ["--database-url", cluster.database(), "--migrate", "--lease-seconds", "2"]
    flags += ["--data-root", str(data_root), "--model-root", str(model_root)]
    server = RunningServer(tmp_path / "state", *flags, http=True)
    with server, server.client() as client, ThreadPoolExecutor(1) as threads:
        unbroken = client.train(spec, DATA).result()
        until_ready(server, 200)
        run = client.train(spec, DATA)
        next(event for event in run if event.HasField("epoch_finished"))
        watched = threads.submit(lambda: list(client.watch(run.name)))
        cluster.stop()
        assert "database: " in until_ready(server, 503)
        assert (serves(server, "TrainingService"), serves(server, "PredictionService")) == (False, True)
        assert readiness(server, OF_THE_CHART)[0] == 200
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as answer:  # as long as Prometheus waits
            assert 'headstart_ready{dependency="database"} 0.0' in answer.read().decode()
        rows = reviews.columns(reviews.make_rows(3), "review", "price", "category")
        assert client.predict(unbroken.model, rows)
        with grpc.insecure_channel(server.address) as channel:
            call = channel.unary_unary(
                "/headstart.v1.TrainingService/GetTrainJob",
                request_serializer=pb.GetTrainJobRequest.SerializeToString,
                response_deserializer=pb.TrainJob.FromString,
            )
            with pytest.raises(grpc.RpcError) as refused:
                call(pb.GetTrainJobRequest(name=run.name), timeout=20)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        cluster.start()
        events = watched.result(120)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert client.jobs.get(run.name).state == pb.TrainJob.STATE_SUCCEEDED
        assert epochs_of(client, run.name) == epochs_of(client, unbroken.name)
        until_ready(server, 200)


def test_a_job_goes_on_when_its_bucket_is_back(model_root: Path, data_root: Path, tmp_path: Path) -> None:
    spec = reviews.spec(epochs=1_200, early_stop=-1)
    with s3_server() as bucket:
        flags = ["--storage-url", f"{bucket}/state", "--data-root", str(data_root), "--model-root", str(model_root)]
        server = RunningServer(tmp_path / "state", *flags, http=True)
        with server, server.client() as client, ThreadPoolExecutor(1) as threads:
            unbroken = client.train(spec, DATA).result()
            until_ready(server, 200)
            run = client.train(spec, DATA)
            next(event for event in run if event.HasField("epoch_finished"))
            watched = threads.submit(lambda: list(client.watch(run.name)))
            with s3_away():
                assert "storage: " in until_ready(server, 503)
                assert serves(server, "PredictionService") and readiness(server, OF_THE_CHART)[0] == 200
                time.sleep(5)
                assert client.jobs.get(run.name).state not in (pb.TrainJob.STATE_FAILED, pb.TrainJob.STATE_SUCCEEDED)
            events = watched.result(180)
            assert [event.sequence for event in events] == list(range(1, len(events) + 1))
            assert client.jobs.get(run.name).state == pb.TrainJob.STATE_SUCCEEDED
            assert epochs_of(client, run.name) == epochs_of(client, unbroken.name)
            rows = reviews.columns(reviews.make_rows(3), "review", "price", "category")
            models = [job.model for job in client.jobs.list()]
            assert len({str(client.predict(model, rows)["verdict"].probabilities) for model in models}) == 1
