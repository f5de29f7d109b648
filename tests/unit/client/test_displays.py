"""A followed job is shown so that its state can be seen at a glance."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import pytest
from headstart.cli.follow import summary
from headstart.cli.job_view import JobView
from headstart.cli.json_lines import dict_of
from headstart.cli.live_display import LiveDisplay, drawing
from headstart.cli.plain_display import PlainDisplay
from headstart.cli.sparkline import sparkline
from headstart.cli.wording import duration, epoch_number, shown_metrics, size
from headstart.v1 import training_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

EPOCH = pb.EpochMetrics(
    epoch=2,
    best=True,
    train={"label.accuracy": 0.9, "label.loss": 0.2},
    validation={"label.accuracy": 0.8},
    validation_metric="label.accuracy",
    train_seconds=1.5,
)
ENCODE = pb.EncodeProgress(
    feature="review", rows_total=10, rows_seen=10, rows_found=6, rows_repeated=1, rows_encoded=3, rows_per_second=850
)
EVENTS = [
    pb.TrainJobEvent(job="trainJobs/j1", state_change=pb.StateChange(state=pb.TrainJob.STATE_TRAINING)),
    pb.TrainJobEvent(spec_resolved=pb.SpecResolved(train_rows=7, validation_rows=1, test_rows=2)),
    pb.TrainJobEvent(encode_progress=ENCODE),
    pb.TrainJobEvent(step_progress=pb.StepProgress(epoch=1, step=1, total_steps=4, loss=0.9)),
    pb.TrainJobEvent(step_progress=pb.StepProgress(epoch=1, step=2, total_steps=4, loss=0.3, eta_seconds=61)),
    pb.TrainJobEvent(epoch_finished=EPOCH),
    pb.TrainJobEvent(warning=pb.JobWarning(reason="SLOW", message="mixed precision is not faster here")),
]


def shown(width: int = 120, events: Sequence[pb.TrainJobEvent] = EVENTS) -> str:
    console = Console(file=io.StringIO(), width=width, record=True)
    view = JobView("trainJobs/j1")
    for event in events:
        view.take(event)
    console.print(drawing(view))
    return console.export_text()


def test_the_live_picture_shows_encoding_training_epochs_and_warnings() -> None:
    text = shown()
    for part in (
        "trainJobs/j1  training",
        "7 train, 1 validation, 2 test",
        "10/10 rows: 6 found, 1 repeated, 3 encoded",
        "850 rows/s",
        "step 2/4",
        "1:01 left",
        "loss █▁ 0.3000",
        "0.9000 / 0.8000 / –",
        "2 *",
        "mixed precision is not faster here (SLOW)",
    ):
        assert part in text


def test_a_narrow_terminal_still_gets_a_picture() -> None:
    assert "review" in shown(width=50)


def test_the_live_display_draws_on_a_terminal_until_it_ends() -> None:
    screen = io.StringIO()
    with LiveDisplay("trainJobs/j1", Console(file=screen, force_terminal=True, width=120)) as display:
        for event in EVENTS:
            display.show(event)
    assert "3 encoded" in screen.getvalue()


def test_plain_lines_tell_what_matters() -> None:
    lines: list[str] = []
    display = PlainDisplay(lines.append)
    for event in EVENTS:
        display.show(event)
    assert lines == [
        "trainJobs/j1 training",
        "encode review: 6 found, 1 repeated, 3 encoded",
        "epoch 2 (1.5 s): label.loss 0.2000 / – / –, label.accuracy 0.9000 / 0.8000 / –",
        "warning: mixed precision is not faster here (SLOW)",
    ]


def test_time_spent_waiting_for_data_is_told_where_there_is_any() -> None:
    epoch, encode = pb.EpochMetrics(), pb.EncodeProgress()
    epoch.CopyFrom(EPOCH)
    epoch.data_wait_seconds = 0.4
    encode.CopyFrom(ENCODE)
    encode.data_wait_seconds, encode.compute_seconds = 1.5, 2.0
    events = [pb.TrainJobEvent(encode_progress=encode), pb.TrainJobEvent(epoch_finished=epoch)]
    lines: list[str] = []
    display = PlainDisplay(lines.append)
    for event in events:
        display.show(event)
    assert lines[0].startswith("encode review (3.5 s, 1.5 s of it waiting for data): 6 found")
    assert lines[1].startswith("epoch 2 (1.5 s, 0.4 s of it waiting for data): label.loss")
    text = shown(width=150, events=events)
    assert "3 encoded, 1.5 s waiting" in text
    assert "data wait" in text
    assert "0.4 s" in text.splitlines()[-2]
    assert "wait" not in shown()


def test_the_summary_ends_with_the_next_command() -> None:
    job = pb.TrainJob(name="trainJobs/j1", state=pb.TrainJob.STATE_SUCCEEDED, model="models/m1", best_epoch=EPOCH)
    job.create_time.FromSeconds(100)
    job.end_time.FromSeconds(225)
    text = summary(job)
    assert text.startswith("trainJobs/j1 succeeded in 2:05\n")
    assert "best epoch by label.accuracy: 2 (train / validation / test)" in text
    assert "label.accuracy: 0.9000 / 0.8000 / –" in text
    assert text.endswith("next: headstart predict models/m1 --data FILE --output predictions.csv")


@given(st.lists(st.floats()), st.integers(1, 60))
def test_a_sparkline_fits_whatever_the_losses_are(values: list[float], width: int) -> None:
    assert len(sparkline(values, width)) <= width


def test_a_sparkline_falls_with_the_loss_and_skips_what_is_not_finite() -> None:
    assert sparkline([3.0, 2.0, math.nan, 1.0]) == "█▅▁"
    assert sparkline([1.0, 1.0]) == "▁▁"
    assert sparkline([]) == ""


def test_losses_come_first_among_many_metrics() -> None:
    epoch = pb.EpochMetrics(validation=dict.fromkeys(["a.zeta", "b.accuracy", "combined.loss", "b.loss"], 1.0))
    assert shown_metrics([epoch]) == ["b.loss", "combined.loss", "b.accuracy"]
    assert shown_metrics([pb.EpochMetrics(train={"a.zeta": 1.0})]) == ["a.zeta"]


def test_numbers_are_written_for_people() -> None:
    assert [duration(seconds) for seconds in (0.25, 59.9, 61, 3725)] == ["0.2 s", "59.9 s", "1:01", "1:02:05"]
    assert [size(count) for count in (5, 2048, 3 << 20, 5 << 40)] == ["5 B", "2.0 KiB", "3.0 MiB", "5.0 TiB"]


def test_json_keeps_zeros_and_falsehoods_and_drops_the_empty() -> None:
    event = pb.TrainJobEvent(sequence=1, epoch_finished=pb.EpochMetrics(epoch=1))
    assert dict_of(event) == {
        "sequence": "1",
        "epoch_finished": {
            "epoch": 1,
            "step": "0",
            "train_seconds": 0.0,
            "evaluate_seconds": 0.0,
            "best": False,
            "learning_rate": 0.0,
            "data_wait_seconds": 0.0,
            "compute_seconds": 0.0,
            "load_seconds": 0.0,
            "evaluation": 0,
            "epochs": 0.0,
        },
        "terminal": False,
    }


@pytest.mark.parametrize(
    ("epoch", "epochs", "shown"), [(2, 0.0, "2"), (2, 2.0, "2"), (2, 1.5, "1.5"), (3, 7 / 3, "2.333")]
)
def test_an_evaluation_within_an_epoch_is_told_from_its_end(epoch: int, epochs: float, shown: str) -> None:
    assert epoch_number(pb.EpochMetrics(epoch=epoch, epochs=epochs)) == shown
