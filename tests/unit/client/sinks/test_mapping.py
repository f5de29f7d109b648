"""What sinks are given of a job: every number once at its event's time, the spec when it is measured, the end."""

from __future__ import annotations

import math
from typing import Any

import pytest
from headstart.v1 import training_pb2 as pb

from tests.support.sink_jobs import CREATED, JOB, KeptSink, finished, play, resolved, stepped, timed, whole_job


def _series(sink: KeptSink, key: str) -> list[tuple[int, Any]]:
    return [(position, value) for name, position, value in sink.points if name == key]


@pytest.fixture
def sink() -> KeptSink:
    kept = KeptSink()
    play(kept, whole_job())
    return kept


def test_steps_are_written_once_by_optimizer_step(sink: KeptSink) -> None:
    *known, (last, loss) = _series(sink, "train/loss")
    assert known == [(5, pytest.approx(0.9)), (10, pytest.approx(0.8)), (16, pytest.approx(0.6))]
    assert last == 20
    assert math.isnan(loss)
    assert _series(sink, "train/learning_rate")[0] == (5, 0.001)
    assert _series(sink, "train/rows_per_second")[0] == (5, 50)


def test_epochs_are_written_once_by_evaluation_and_split(sink: KeptSink) -> None:
    assert _series(sink, "epoch/validation/label.accuracy") == [(1, 0.7), (2, 0.9), (3, 0.8)]
    assert _series(sink, "epoch/train/label.accuracy") == [
        (1, 0.75),
        (2, pytest.approx(0.95)),
        (3, pytest.approx(0.85)),
    ]
    assert [position for position, _ in _series(sink, "epoch/test/label.accuracy")] == [1, 2, 3]
    assert _series(sink, "epoch/train/loss") == [(1, 0.125), (2, 0.125), (3, 0.125)]
    assert _series(sink, "epoch/train_seconds") == [(1, 2.5), (2, 2.5), (3, 2.5)]
    assert _series(sink, "epoch/step") == [(1, 10), (2, 20), (3, 30)]


def test_evaluations_within_an_epoch_have_positions_of_their_own() -> None:
    sink = KeptSink()
    events = [finished(1, 0.7), finished(1, 0.8)]
    for number, event in enumerate(events, start=1):
        event.epoch_finished.evaluation = number
        event.epoch_finished.epochs = number / 2
    play(sink, timed(events))
    assert _series(sink, "epoch/validation/label.accuracy") == [(1, 0.7), (2, 0.8)]
    assert _series(sink, "epoch/epochs") == [(1, 0.5), (2, 1.0)]


def test_encoding_is_written_by_rows_seen_and_apart_for_rows_read_again(sink: KeptSink) -> None:
    assert _series(sink, "encode/review/rows_encoded") == [(50, 50), (100, 100)]
    assert _series(sink, "encode_test_again/review/rows_per_second") == [(10, 7.5)]


def test_times_are_those_of_the_events(sink: KeptSink) -> None:
    assert sink.times[0] == CREATED + 3.25
    assert sink.times == sorted(sink.times)


def test_parameters_wait_for_measured_values_and_tell_their_origin(sink: KeptSink) -> None:
    found = {item.path: item for item in sink.parameters}
    assert sink.calls.count("parameters") == 1
    assert len(found) == len(sink.parameters) == 8
    assert (found["trainer.batch_size"].value, found["trainer.batch_size"].text) == (64, "64")
    assert found["trainer.batch_size"].provenance == "measured: fastest | of three"
    assert found["input_features[0].encoder.type"].text == "bert"
    assert found["trainer.betas"].text == "[0.9, 0.99]"
    assert found["trainer.early_stop"].provenance == "default"
    assert (found["rows.train"].value, found["rows.train"].origin) == (80, "data")


def test_a_job_that_is_watched_from_its_middle_has_its_parameters_all_the_same() -> None:
    job = pb.TrainJob()
    job.CopyFrom(JOB)
    job.resolved_values.extend(resolved(64).spec_resolved.values)
    sink = KeptSink()
    play(sink, timed([stepped(5, 0.9)]), job)
    assert sink.parameters[0].path == "trainer.batch_size"


def test_texts_are_states_warnings_and_the_model(sink: KeptSink) -> None:
    assert sink.texts == [
        ("state", "queued"),
        ("warning/ROWS_DROPPED", "3 rows\nwere left out"),
        ("warning/ROWS_DROPPED", "1 more"),
        ("model", "models/m1"),
        ("state", "succeeded"),
    ]
    assert (sink.job.display_name, sink.state) == ("reviews", pb.TrainJob.STATE_SUCCEEDED)


def test_the_best_metrics_are_those_of_the_published_model(sink: KeptSink) -> None:
    assert sink.best["best/validation/label.accuracy"] == 0.91
    assert set(sink.best) == {
        "best/train/label.accuracy",
        "best/train/loss",
        "best/validation/label.accuracy",
        "best/validation/label.loss",
        "best/test/label.accuracy",
    }


def test_a_failed_job_has_its_best_epoch_its_parameters_and_its_error() -> None:
    sink = KeptSink()
    play(sink, whole_job(pb.TrainJob.STATE_FAILED))
    assert sink.best["best/validation/label.accuracy"] == 0.9
    assert sink.parameters
    assert sink.texts[-1] == ("error", "OUT_OF_MEMORY: use a smaller batch_size")
    assert sink.state == pb.TrainJob.STATE_FAILED
    assert sink.calls[-2:] == ["end", "close"]
