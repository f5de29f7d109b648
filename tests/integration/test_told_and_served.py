"""What a job tells of its test rows is what Predict gives for them, in either arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import headstart
import numpy as np
import pytest
from headstart.v1 import training_pb2 as pb
from headstart.v1.evaluation_pb2 import OutputEvaluation
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    mean_squared_error,
    precision_recall_fscore_support,
    r2_score,
    roc_auc_score,
)

from tests.support import reviews

pytestmark = pytest.mark.both_arithmetics
TRAIN, TEST = reviews.make_rows(160, seed=11), reviews.make_rows(60, seed=12)
_OUTPUTS = [
    {"name": "category", "type": "category"},
    {"name": "watched", "type": "binary", "decoder": {"threshold": 0.3}},
    {"name": "score", "type": "number"},
]


def trained(client: headstart.Client, folder: Path, **encoder: Any) -> tuple[pb.TrainJob, list[pb.TrainJobEvent]]:
    """A job on a text alone, with test rows of its own, and its events."""
    spec = reviews.spec(epochs=6, use_mixed_precision=True, validation_metric="watched.accuracy")
    spec["input_features"] = spec["input_features"][:1]
    spec["input_features"][0]["encoder"].update(encoder)
    spec["output_features"] = _OUTPUTS
    train = reviews.write_csv(folder / "train.csv", TRAIN)
    run = client.train(spec, train, test=reviews.write_csv(folder / "test.csv", TEST))
    events = list(run)
    return run.result(), events


def metrics_by_predict(client: headstart.Client, model: str) -> dict[str, float]:
    """scikit-learn's, of what Predict answers to the test rows."""
    answer = client.predict(model, reviews.columns(TEST, "review"))
    kinds, watched, score = (answer[name] for name in ("category", "watched", "score"))
    truth = {name: [row[name] for row in TEST] for name in ("category", "watched", "score")}
    scores = np.array([float(value) for value in truth["score"]])
    yes = np.array([row[1] for row in watched.probabilities])
    losses = [
        log_loss(truth["category"], np.array(kinds.probabilities, np.float32), labels=list(kinds.classes)),
        log_loss(truth["watched"], yes.astype(float), labels=["no", "yes"]),
    ]
    return {
        "category.loss": losses[0],
        "category.accuracy": accuracy_score(truth["category"], kinds.values),
        "category.f1_macro": f1_score(truth["category"], kinds.values, average="macro"),
        "watched.loss": losses[1],
        "watched.accuracy": accuracy_score(truth["watched"], watched.values),
        "watched.roc_auc": roc_auc_score(np.array(truth["watched"]) == "yes", yes),
        "score.mean_squared_error": mean_squared_error(scores, score.values),
        "score.r2": r2_score(scores, score.values),
    }


def require_evaluated_as_served(client: headstart.Client, model: str) -> None:
    """Classes, confusions, probabilities and the worst rows are those of what Predict answers."""
    answer = client.predict(model, reviews.columns(TEST, "review"))
    found = {item.output: item for item in client.models.get(model).evaluation}
    assert {item.part for item in found.values()} == {OutputEvaluation.PART_TEST}
    for name in ("category", "watched"):
        truth, said, told = [row[name] for row in TEST], list(answer[name].values), found[name]
        labels = [item.label for item in told.classes]
        expected = precision_recall_fscore_support(truth, said, labels=labels, zero_division=0)
        counted = [(item.precision, item.recall, item.f1, item.rows) for item in told.classes]
        np.testing.assert_allclose(np.transpose(counted), expected)
        matrix = np.reshape(told.confusion_matrix.counts, (len(labels), len(labels)))
        assert matrix.tolist() == confusion_matrix(truth, said, labels=list(told.confusion_matrix.labels)).tolist()
        assert sum(item.predictions for item in told.calibration) == len(TEST)
        worst = told.worst_rows[0]
        row = TEST[worst.row - 1]
        assert (worst.source, worst.inputs["review"], worst.target) == ("test_dataset", row["review"], row[name])
        assert worst.predicted == said[worst.row - 1]
        chances = answer[name].probabilities[worst.row - 1]
        assert worst.probability == pytest.approx(chances[list(answer[name].classes).index(worst.predicted)], abs=1e-5)
    errors = np.abs(np.subtract([float(row["score"]) for row in TEST], answer["score"].values))
    assert found["score"].worst_rows[0].row == 1 + np.argmax(errors)
    assert found["score"].worst_rows[0].loss == pytest.approx(errors.max(), rel=1e-4)
    np.testing.assert_allclose(found["score"].number.predictions, answer["score"].values, rtol=1e-4, atol=1e-4)


def require_told_as_served(client: headstart.Client, job: pb.TrainJob, events: list[pb.TrainJobEvent]) -> None:
    expected = metrics_by_predict(client, job.model)
    require_evaluated_as_served(client, job.model)
    for told in (job.best_epoch, events[-2].model_published.best_epoch, client.models.get(job.model).metrics):
        assert {name: told.test[name] for name in expected} == pytest.approx(expected, abs=2e-5)


def test_test_metrics_on_stored_embeddings_are_those_of_predict(
    client: headstart.Client, tmp_path: Path, arithmetic: str
) -> None:
    job, events = trained(client, tmp_path)
    require_told_as_served(client, job, events)
    passes = [event.encode_progress for event in events if event.HasField("encode_progress")]
    again = [item for item in passes if item.test_rows_again]
    if arithmetic == "fp32":
        assert not again
        return
    assert (again[-1].feature, again[-1].rows_seen) == ("review (test, fp32)", len(TEST))
    assert job.encode_progress.rows_total == len(TRAIN) + len(TEST)
    known, found = trained(client, tmp_path)
    require_told_as_served(client, known, found)
    assert [item.rows_encoded for event in found if (item := event.encode_progress).test_rows_again] == [0]


@pytest.mark.parametrize("more", [{}, {"adapter": {"type": "lora"}}], ids=["whole", "adapter"])
def test_test_metrics_of_an_encoder_that_trains_are_those_of_predict(
    client: headstart.Client, tmp_path: Path, more: dict[str, Any]
) -> None:
    require_told_as_served(client, *trained(client, tmp_path, trainable=True, **more))


def test_a_plan_tells_which_test_rows_are_read_again(client: headstart.Client, tmp_path: Path, arithmetic: str) -> None:
    spec = reviews.spec()
    train, test = (reviews.write_csv(tmp_path / f"{seed}.csv", reviews.make_rows(30, seed=seed)) for seed in (21, 22))
    plan = client.plan(spec, train, test=test)
    assert [(item.rows_total, item.rows_encoded) for item in plan.encode] == [(60, 60)]
    expected = [] if arithmetic == "fp32" else [(30, 30, True)]
    assert [(item.rows_total, item.rows_encoded, item.test_rows_again) for item in plan.test_encode] == expected
