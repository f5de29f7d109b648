"""A real MLflow store has a job as one run, once, however often it is followed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import headstart
import pytest
from headstart.sinks import MLflow
from headstart.sinks.recorder import Recorder
from headstart.v1 import training_pb2 as pb
from mlflow.tracking import MlflowClient

from tests.support.sink_jobs import CREATED, finished, play, resolved, stepped, timed, whole_job


class Store:
    """A database of MLflow's, and the runs in it."""

    def __init__(self, folder: Path) -> None:
        self.uri = f"sqlite:///{folder}/mlflow.db"
        self.client = MlflowClient(tracking_uri=self.uri)
        self.experiment = 0

    def sink(self) -> MLflow:
        """Return a sink of the experiment of this test."""
        return MLflow(self.uri, f"reviews {self.experiment}")

    def run(self) -> Any:
        """Return its only run."""
        experiment = self.client.get_experiment_by_name(f"reviews {self.experiment}")
        (run,) = self.client.search_runs([experiment.experiment_id])
        return run

    def points(self) -> dict[str, list[tuple[int, int, float]]]:
        """Return every metric's history."""
        run = self.run()
        histories = {key: self.client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
        return {
            key: [(item.step, item.timestamp - 1000 * CREATED, item.value) for item in history]
            for key, history in histories.items()
        }


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture
def store(database: Store) -> Store:
    database.experiment += 1
    return database


def test_a_job_is_a_run_with_metrics_params_tags_and_a_status(store: Store) -> None:
    play(store.sink(), whole_job())
    run, points = store.run(), store.points()
    assert (run.info.run_name, run.info.status) == ("reviews", "FINISHED")
    assert (run.info.start_time, run.info.end_time) == (1000 * CREATED, 1000 * CREATED + 19_250)
    assert [item[:2] for item in points["train/loss"]] == [(5, 7250), (10, 8250), (16, 11_250), (20, 14_250)]
    assert math.isnan(points["train/loss"][-1][2])
    assert [(step, value) for step, _, value in points["epoch/validation/label.accuracy"]] == [
        (1, 0.7),
        (2, 0.9),
        (3, 0.8),
    ]
    assert run.data.metrics["best/validation/label.accuracy"] == 0.91
    assert run.data.params["trainer.batch_size"] == "64"
    assert run.data.params["input_features.0.encoder.type"] == "bert"
    assert run.data.tags["origin.trainer.batch_size"] == "measured: fastest | of three"
    assert run.data.tags["warning.ROWS_DROPPED.10"] == "3 rows\nwere left out"
    assert run.data.tags["headstart.model"] == "models/m1"


@pytest.mark.parametrize("cut", [0, 5, 9, 14, 18, 19])
def test_following_again_doubles_nothing(store: Store, cut: int) -> None:
    events = whole_job()
    play(store.sink(), events[:cut])
    play(store.sink(), events)
    once = {key: [step for step, _, _ in history] for key, history in store.points().items()}
    assert all(len(steps) == len(set(steps)) for steps in once.values())
    store.experiment += 100
    play(store.sink(), events)
    assert once == {key: [step for step, _, _ in history] for key, history in store.points().items()}


@pytest.mark.parametrize(
    ("end", "status"), [(pb.TrainJob.STATE_FAILED, "FAILED"), (pb.TrainJob.STATE_CANCELLED, "KILLED")]
)
def test_jobs_that_end_badly_have_their_status(store: Store, end: pb.TrainJob.State, status: str) -> None:
    play(store.sink(), whole_job(end))
    assert store.run().info.status == status


def test_a_job_that_is_let_go_of_is_running(store: Store) -> None:
    play(store.sink(), whole_job()[:9])
    assert store.run().info.status == "RUNNING"


def test_a_spec_that_is_resolved_anew_is_told_beside_the_params(store: Store) -> None:
    play(store.sink(), timed([resolved(32), stepped(1, 0.9), resolved(64), stepped(2, 0.8)]))
    data = store.run().data
    assert (data.params["trainer.batch_size"], data.tags["changed.trainer.batch_size"]) == ("32", "64")


@pytest.mark.parametrize("output", ["prix (€)", "a/../b", "größe", "..", "x" * 300, "tab\tand [1]"])
def test_whatever_columns_are_called_mlflow_takes_it(store: Store, output: str) -> None:
    event = finished(1, 0.5)
    event.epoch_finished.validation.clear()
    event.epoch_finished.validation[f"{output}.accuracy"] = 0.5
    value = resolved(8)
    value.spec_resolved.values[0].path = f"defaults.{output}"
    value.spec_resolved.values[0].value.string_value = "y" * 9000
    play(store.sink(), timed([value, event]))
    found = [key for key in store.run().data.metrics if key.startswith("epoch/validation/")]
    assert len(found) == 1


def test_a_server_that_is_away_is_told_before_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(headstart.SinkFailed, match=r"--mlflow http://localhost:1 .*nothing was started"):
        Recorder([MLflow("http://localhost:1")]).check()
