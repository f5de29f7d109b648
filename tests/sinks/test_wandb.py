"""An offline run of the real W&B holds a job's numbers at the times of its events, its spec and its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb
from headstart.sinks import WandB
from headstart.v1 import training_pb2 as pb

from tests.support.sink_jobs import CREATED, play, whole_job
from tests.support.wandb_files import OfflineRun


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    yield
    wandb.teardown()  # it reads its environment once


def _written(folder: Path, events: list[pb.TrainJobEvent]) -> OfflineRun:
    """Return what W&B has written of a job. It may still write for a while after a run is finished."""
    play(WandB("reviews", silent=True), events)
    wandb.teardown()
    return OfflineRun(folder)


def test_an_offline_run_holds_the_whole_job(tmp_path: Path) -> None:
    found = _written(tmp_path, whole_job())
    assert (found.run.project, found.run.run_id, found.run.display_name) == ("reviews", "j1", "reviews")
    losses = [row for row in found.history if "train/loss" in row]
    assert [(row["_step"], row["train/step"]) for row in losses] == [(7, 5), (8, 10), (11, 16), (14, 20)]
    assert losses[0]["_timestamp"] == CREATED + 7.25
    epochs = {row["epoch"]: row["epoch/validation/label.accuracy"] for row in found.history if "epoch" in row}
    assert epochs == {1: 0.7, 2: 0.9, 3: 0.8}
    assert found.config["spec"]["trainer"]["batch_size"] == 64
    assert found.config["origin"]["trainer"]["batch_size"] == "measured: fastest | of three"
    assert found.summary["best/validation/label.accuracy"] == 0.91
    assert (found.summary["state"], found.summary["model"]) == ("succeeded", "models/m1")
    assert list(found.run.tags) == ["models/m1"]
    assert (found.exit_code, found.preempting) == (0, False)


def test_charts_have_their_axes(tmp_path: Path) -> None:
    axes = _written(tmp_path, whole_job()).axes
    found = {name.replace("\\", ""): axis for name, axis in axes.items()}
    assert found["train/loss"] == "train/step"
    assert found["epoch/validation/label.accuracy"] == "epoch"


@pytest.mark.parametrize("end", [pb.TrainJob.STATE_FAILED, pb.TrainJob.STATE_CANCELLED])
def test_a_job_that_ends_badly_has_an_exit_code(tmp_path: Path, end: pb.TrainJob.State) -> None:
    found = _written(tmp_path, whole_job(end))
    assert (found.exit_code, found.preempting) == (1, False)
    assert found.summary["state"] in ("failed", "cancelled")


def test_a_job_that_is_let_go_of_is_preempted(tmp_path: Path) -> None:
    assert _written(tmp_path, whole_job()[:9]).preempting
