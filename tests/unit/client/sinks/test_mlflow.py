"""MLflow is given metrics at the times of events, params that never change, tags, and a status."""

from __future__ import annotations

import sys

import headstart
import pytest
from headstart.sinks import MLflow
from headstart.sinks.mlflow import key_of
from headstart.v1 import training_pb2 as pb

from tests.support.fake_trackers import FakeMlflow
from tests.support.sink_jobs import CREATED, play, resolved, stepped, timed, whole_job


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeMlflow:
    return _installed(monkeypatch)


def _installed(monkeypatch: pytest.MonkeyPatch) -> FakeMlflow:
    fake = FakeMlflow()
    for name, module in fake.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    return fake


def test_a_job_is_a_run_with_its_times_name_and_status(server: FakeMlflow) -> None:
    play(MLflow("http://there", "reviews"), whole_job())
    (run,) = server.runs
    assert (server.uri, list(server.experiments)) == ("http://there", ["reviews"])
    assert (run.run_name, run.start_time, run.tags["headstart.job"]) == ("reviews", 1000 * CREATED, "trainJobs/j1")
    assert (run.status, run.end_time) == ("FINISHED", 1000 * CREATED + 19_250)


def test_metrics_have_the_steps_and_times_of_events(server: FakeMlflow) -> None:
    play(MLflow("http://there"), whole_job())
    losses = [item for item in server.runs[0].metrics if item.key == "train/loss"]
    found = [(item.step, item.timestamp - 1000 * CREATED) for item in losses]
    assert found == [(5, 7250), (10, 8250), (16, 11_250), (20, 14_250)]
    best = {item.key: item.value for item in server.runs[0].metrics if item.key.startswith("best/")}
    assert best["best/validation/label.accuracy"] == 0.91


def test_the_spec_is_params_with_origins_as_tags(server: FakeMlflow) -> None:
    play(MLflow("http://there"), whole_job())
    run = server.runs[0]
    assert run.params["trainer.batch_size"] == "64"
    assert run.params["input_features.0.encoder.type"] == "bert"
    assert run.params["rows.train"] == "80"
    assert run.tags["origin.trainer.batch_size"] == "measured: fastest | of three"


def test_a_spec_that_is_resolved_anew_changes_no_param_and_is_told(server: FakeMlflow) -> None:
    play(MLflow("http://there"), timed([resolved(32), stepped(1, 0.9), resolved(64), stepped(2, 0.8)]))
    run = server.runs[0]
    assert (run.params["trainer.batch_size"], run.tags["changed.trainer.batch_size"]) == ("32", "64")


def test_warnings_the_model_and_the_state_are_tags(server: FakeMlflow) -> None:
    play(MLflow("http://there"), whole_job())
    tags = server.runs[0].tags
    assert tags["warning.ROWS_DROPPED.10"] == "3 rows\nwere left out"
    assert tags["warning.ROWS_DROPPED.16"] == "1 more"
    assert (tags["headstart.model"], tags["headstart.state"]) == ("models/m1", "succeeded")


@pytest.mark.parametrize(
    ("end", "status"), [(pb.TrainJob.STATE_FAILED, "FAILED"), (pb.TrainJob.STATE_CANCELLED, "KILLED")]
)
def test_jobs_that_end_badly_have_their_status(server: FakeMlflow, end: pb.TrainJob.State, status: str) -> None:
    play(MLflow("http://there"), whole_job(end))
    assert server.runs[0].status == status


@pytest.mark.parametrize("cut", [0, 5, 9, 14, 18, 19])
def test_following_again_goes_on_in_the_same_run_without_doubled_points(
    server: FakeMlflow, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    events = whole_job()
    play(MLflow("http://there"), events[:cut])
    assert cut == 19 or server.runs[0].status == "RUNNING"
    play(MLflow("http://there"), events)
    again = [(item.key, item.step) for item in server.runs[0].metrics]
    assert len(server.runs) == 1
    assert len(again) == len(set(again))
    assert server.runs[0].status == "FINISHED"
    fresh = _installed(monkeypatch)
    play(MLflow("http://there"), events)
    assert set(again) == {(item.key, item.step) for item in fresh.runs[0].metrics}


def test_a_long_job_travels_in_batches(server: FakeMlflow) -> None:
    play(MLflow("http://there"), timed([stepped(step, 0.5) for step in range(1, 1001)]))
    assert len(server.runs[0].metrics) == 3000
    assert server.batches < 100
    assert server.histories == 0


def test_a_server_that_is_gone_is_told_by_the_sink(server: FakeMlflow) -> None:
    sink = MLflow("http://there")
    sink.check()
    sink.begin(pb.TrainJob(name="trainJobs/j1"))
    server.down = True
    with pytest.raises(ConnectionError):
        for event in whole_job():
            sink.take(event)


def test_the_option_names_the_server_that_mlflow_chose(server: FakeMlflow) -> None:
    assert MLflow().option == "--mlflow http://its-own --mlflow-experiment headstart"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("epoch/validation/label.accuracy", "epoch/validation/label.accuracy"),
        ("input_features[0].encoder.type", "input_features.0.encoder.type"),
        ("train/prix (€).loss", "train/prix _28__20ac__29_.loss"),
        ("encode/a/../b/rows", "encode/a/___/b/rows"),
        ("encode//rows", "encode/_/rows"),
        ("train/größe.loss", "train/größe.loss"),
    ],
)
def test_keys_are_those_that_mlflow_takes(name: str, key: str) -> None:
    assert key_of(name) == key


def test_long_keys_stay_apart() -> None:
    one, other = key_of("train/" + "x" * 300), key_of("train/" + "x" * 301)
    assert len(one) == len(other) == 250
    assert one != other


def test_the_error_of_a_missing_server_is_that_of_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(headstart.InvalidArgument, match="mlflow is not installed"):
        MLflow()
