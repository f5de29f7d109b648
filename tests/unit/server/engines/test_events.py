"""What a job reports is read as it was written, whatever it is, and what is none is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from headstart_server.core.states import State
from headstart_server.data.parts import Part
from headstart_server.engines.events import (
    EncodeReport,
    JobEvent,
    JobFailure,
    ModelEvaluated,
    ModelPublished,
    RowCounts,
    SpecResolved,
    StateChange,
    from_plain,
    kind_of,
    to_plain,
)
from headstart_server.engines.trials import TrialReport
from headstart_server.jobs.records import LogEntry
from headstart_server.planning.resolution import Origin, ResolvedValue
from headstart_server.rpc.jobs import event_message
from headstart_server.spec.model import TrainSpec
from headstart_server.training.output_evaluation import (
    CalibrationBin,
    ClassMetrics,
    ConfusionMatrix,
    NumberEvaluation,
    OutputEvaluation,
    RowEvaluation,
)
from headstart_server.training.reports import EpochReport, JobWarning, PastEpoch, StepReport

from tests.support import reviews

EPOCH = EpochReport(
    2, 8, {"loss": 0.1 + 0.2}, {"loss": float("inf")}, workers=[{"rows": 4, "rows_per_second": 2.0}], best=True
)
VALUES = [
    ResolvedValue("trainer.batch_size", 16, Origin.MEASURED, "it fits"),
    ResolvedValue("trainer.early_stop", None, Origin.DEFAULT),
    ResolvedValue("preprocessing.split", {"type": "hash", "probabilities": [0.7, 0.2, 0.1]}, Origin.GIVEN),
]
EVENTS: list[JobEvent] = [
    StateChange(State.QUEUED),
    StateChange(State.FAILED, State.TRAINING, JobFailure("NON_FINITE_LOSS", "naïve\n", "trainer.learning_rate")),
    SpecResolved(TrainSpec.model_validate(reviews.spec()).compact(), VALUES, RowCounts(10, 2, 3)),
    EncodeReport(
        10,
        seen=4,
        found=3,
        encoded=1,
        workers=({"rows": 1, "rows_per_second": 2.5},),
        test=True,
        feature="text",
        space="s",
    ),
    StepReport(1, 2, 3, 0.5, 1e-3, 100.0, 4.0),
    EPOCH,
    PastEpoch(EPOCH),
    JobWarning("RESUMED", "after epoch 1"),
    ModelEvaluated(
        [
            OutputEvaluation(
                "verdict",
                Part.TEST,
                3,
                [ClassMetrics("good", 2, 1, 1.0, 0.5, 2 / 3)],
                1,
                ConfusionMatrix(["good", ""], [1, 1, 0, 1]),
                [CalibrationBin(0.0, 0.1, 1, 0.05, 0.0)],
                0.05,
                [RowEvaluation(7, 2.5, "good", "bad", 0.9, "test_dataset", {"review": "naïve"})],
            ),
            OutputEvaluation("score", Part.VALIDATION, 1, number=NumberEvaluation(0.5, [1.0], [1.5])),
        ]
    ),
    ModelPublished("m1", EPOCH),
    TrialReport(
        3,
        20,
        {"model_type": "gbm", "combiner": {"dropout": 0.5}},
        "y.accuracy",
        0.5,
        0.1,
        90,
        1 / 3,
        4,
        1.5,
        0.01,
        99,
        0.02,
        7,
    ),
    TrialReport(4, 20, {}, "loss", failure="the loss is not finite"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_read_as_it_was_written(event: JobEvent) -> None:
    kind, data = to_plain(event)
    assert from_plain(kind, json.loads(json.dumps(data))) == event


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_a_stored_event_becomes_the_message_of_what_was_reported(event: JobEvent) -> None:
    if isinstance(event, PastEpoch):
        pytest.skip("past epochs are logged as epochs")
    kind, data = to_plain(event)
    now = datetime.now(UTC)
    stored = event_message("j", LogEntry(1, now, from_plain(kind, json.loads(json.dumps(data)))))
    assert stored == event_message("j", LogEntry(1, now, event))
    assert stored.WhichOneof("event") is not None


def test_every_kind_is_tried_above() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(JobEvent))
    assert len({kind_of(type(event)) for event in EVENTS}) == len(get_args(JobEvent))


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("nonsense", {}),
        ("state", {"to": "NOWHERE"}),
        ("state", {}),
        ("step", {"step": 1}),
        ("epoch", [1]),
        ("model", {"model": "m1"}),
        ("encode", {"total": "many"}),
    ],
)
def test_what_is_no_event_is_refused(kind: str, data: Any) -> None:
    with pytest.raises(ValueError, match=r"kind of event|validation error"):
        from_plain(kind, data)
