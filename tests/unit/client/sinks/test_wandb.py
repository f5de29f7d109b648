"""W&B is given rows by event, axes for its charts, the spec as config, and how the run ended."""

from __future__ import annotations

import sys

import headstart
import pytest
from headstart.sinks import WandB
from headstart.v1 import training_pb2 as pb

from tests.support.fake_trackers import FakeWandb, FakeWandbRun
from tests.support.sink_jobs import CREATED, encoded, play, timed, whole_job


def _played(monkeypatch: pytest.MonkeyPatch, events: list[pb.TrainJobEvent], steps: int = 0) -> FakeWandbRun:
    fake = FakeWandb(steps=steps)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    play(WandB("reviews"), events)
    (run,) = fake.runs
    return run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> FakeWandbRun:
    return _played(monkeypatch, whole_job())


def test_the_run_is_the_jobs_and_resumed_and_not_about_this_machine(run: FakeWandbRun) -> None:
    assert (run.options["project"], run.options["id"], run.options["name"]) == ("reviews", "j1", "reviews")
    assert (run.options["resume"], run.options["reinit"]) == ("allow", "create_new")
    assert run.options["settings"] == {"console": "off", "x_disable_stats": True, "silent": False}


def test_rows_have_the_numbers_and_times_of_events(run: FakeWandbRun) -> None:
    losses = {step: row for step, row in run.rows if "train/loss" in row}
    assert [(step, row["train/step"]) for step, row in losses.items()] == [(7, 5), (8, 10), (11, 16), (14, 20)]
    assert losses[7]["_timestamp"] == CREATED + 7.25
    epochs = {row["epoch"]: row["epoch/validation/label.accuracy"] for _, row in run.rows if "epoch" in row}
    assert epochs == {1: 0.7, 2: 0.9, 3: 0.8}


def test_charts_have_steps_epochs_or_rows_as_their_axis(run: FakeWandbRun) -> None:
    assert run.axes["train/loss"] == "train/step"
    assert run.axes["epoch/train/label.accuracy"] == run.axes["epoch/train_seconds"] == "epoch"
    assert run.axes["encode/review/rows_encoded"] == "encode/review/rows_seen"


def test_the_spec_is_config_with_origins(run: FakeWandbRun) -> None:
    assert run.config["spec"]["trainer"] == {
        "batch_size": 64,
        "compile": True,
        "betas": [0.9, 0.99],
        "early_stop": None,
    }
    assert run.config["spec"]["input_features[0]"]["encoder"]["type"] == "bert"
    assert run.config["origin"]["trainer"]["batch_size"] == "measured: fastest | of three"


def test_the_summary_has_the_best_metrics_the_warnings_the_state_and_the_model(run: FakeWandbRun) -> None:
    assert run.summary["best/validation/label.accuracy"] == 0.91
    assert run.summary["warning/ROWS_DROPPED/10"] == "3 rows\nwere left out"
    assert (run.summary["state"], run.summary["model"], run.tags) == ("succeeded", "models/m1", ("models/m1",))


@pytest.mark.parametrize(
    ("end", "code"),
    [(pb.TrainJob.STATE_SUCCEEDED, 0), (pb.TrainJob.STATE_FAILED, 1), (pb.TrainJob.STATE_CANCELLED, 1)],
)
def test_the_exit_code_is_the_jobs_end(monkeypatch: pytest.MonkeyPatch, end: pb.TrainJob.State, code: int) -> None:
    run = _played(monkeypatch, whole_job(end))
    assert (run.exit_code, run.preempting) == (code, False)


def test_a_job_that_is_let_go_of_is_preempted(monkeypatch: pytest.MonkeyPatch) -> None:
    run = _played(monkeypatch, whole_job()[:9])
    assert (run.exit_code, run.preempting) == (1, True)


def test_a_resumed_run_takes_only_the_events_that_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    run = _played(monkeypatch, whole_job(), steps=12)
    assert [step for step, _ in run.rows] == [14, 15, 17]
    assert run.exit_code == 0


def test_stars_are_no_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    event = encoded(50)
    event.encode_progress.feature = "sta*rs"
    assert "encode/sta_rs/rows_encoded" in _played(monkeypatch, timed([event])).axes


@pytest.mark.parametrize(("mode", "logins"), [("online", 1), ("offline", 0), ("disabled", 0)])
def test_a_key_is_asked_for_before_the_job_and_only_where_runs_are_sent(
    monkeypatch: pytest.MonkeyPatch, mode: str, logins: int
) -> None:
    fake = FakeWandb(mode, key=False)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    if logins:
        with pytest.raises(headstart.InvalidArgument, match="wandb login"):
            WandB("p").check()
    else:
        WandB("p").check()
    assert (fake.logins, fake.runs) == (logins, [])
