"""The main job through gRPC: train, watch, predict, and never encode a row twice."""

from __future__ import annotations

import random
from pathlib import Path

import headstart
import pytest
from headstart.v1 import training_pb2 as pb

from tests.support import reviews
from tests.support.running_server import RunningServer

pytestmark = pytest.mark.both_arithmetics
ROWS = reviews.make_rows(240)
FinishedJob = tuple[pb.TrainJob, list[pb.TrainJobEvent]]


@pytest.fixture(scope="module")
def job(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> FinishedJob:
    """A finished job and its events."""
    path = reviews.write_csv(tmp_path_factory.mktemp("upload") / "reviews.csv", ROWS)
    with server.client() as client:
        run = client.train(reviews.spec(epochs=20), path)
        events = list(run)
        return run.result(), events


def encoded(job: pb.TrainJob) -> tuple[int, int]:
    """(encoded, found) rows of a job."""
    return job.encode_progress.rows_encoded, job.encode_progress.rows_found


def test_events_are_a_log_without_gaps_from_queued_to_succeeded(job: FinishedJob) -> None:
    found, events = job
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    states = [pb.TrainJob.State.Name(event.state_change.state) for event in events if event.HasField("state_change")]
    assert states == [
        f"STATE_{name}" for name in ("QUEUED", "PREPARING", "ENCODING", "TRAINING", "PUBLISHING", "SUCCEEDED")
    ]
    assert found.state == pb.TrainJob.STATE_SUCCEEDED
    assert found.last_sequence == events[-1].sequence


def test_job_learns_what_the_text_says(job: FinishedJob) -> None:
    assert job[0].best_epoch.test["verdict.accuracy"] > 0.9


def test_every_auto_has_a_value_and_an_origin(job: FinishedJob) -> None:
    values = {value.path: value for value in job[0].resolved_values}
    assert values["trainer.epochs"].origin == pb.ResolvedValue.ORIGIN_GIVEN
    assert values["trainer.batch_size"].origin == pb.ResolvedValue.ORIGIN_RULE
    assert values["trainer.batch_size"].reason
    assert values["input_features[0].preprocessing.embedding_precision"].origin == pb.ResolvedValue.ORIGIN_MEASURED
    assert job[0].resolved_spec.trainer.batch_size == values["trainer.batch_size"].value.number_value


def test_predictions_are_probabilities_of_known_classes(job: FinishedJob, client: headstart.Client) -> None:
    inputs = reviews.columns(ROWS[:50], "review", "price", "category")
    predictions = client.predict(job[0].model, inputs, top_k=2)
    output = predictions["verdict"]
    assert set(output.values) <= {"negative", "positive"}
    expected = [row["verdict"] for row in ROWS[:50]]
    assert sum(a == b for a, b in zip(output.values, expected, strict=True)) >= 45


def test_bulk_predictions_keep_the_order_of_rows(job: FinishedJob, client: headstart.Client) -> None:
    inputs = reviews.columns(ROWS, "review", "price", "category")
    whole = client.predict(job[0].model, inputs)["verdict"].values
    batches = [{name: cells[start : start + 7] for name, cells in inputs.items()} for start in range(0, 240, 7)]
    parts = [value for answer in client.predict_stream(job[0].model, batches) for value in answer["verdict"].values]
    assert parts == list(whole)


def test_same_rows_renamed_reordered_and_rewritten_are_not_encoded_again(
    job: FinishedJob, client: headstart.Client, tmp_path: Path
) -> None:
    rows = [dict(row) for row in ROWS]
    random.Random(1).shuffle(rows)
    path = reviews.write_jsonl(tmp_path / "other-name.jsonl", rows)
    assert encoded(client.train(reviews.spec(), path).result()) == (0, 240)


def test_only_new_rows_are_encoded(job: FinishedJob, client: headstart.Client, tmp_path: Path) -> None:
    path = reviews.write_csv(tmp_path / "more.csv", [*ROWS, *reviews.make_rows(3, seed=99)])
    assert encoded(client.train(reviews.spec(), path).result()) == (3, 240)


def test_repeated_rows_are_encoded_once(client: headstart.Client, tmp_path: Path) -> None:
    rows = reviews.make_rows(20, seed=5) * 4
    job = client.train(reviews.spec(), reviews.write_csv(tmp_path / "repeats.csv", rows)).result()
    assert (job.encode_progress.rows_encoded, job.encode_progress.rows_repeated) == (20, 60)


def test_a_path_below_the_data_root_trains(client: headstart.Client) -> None:
    assert client.train(reviews.spec(), headstart.ServerPath("reviews.csv")).result().model


def test_inline_rows_train(client: headstart.Client) -> None:
    names = ("review", "price", "category", "verdict")
    assert client.train(reviews.spec(), reviews.columns(ROWS[:80], *names)).result().model


def test_a_plan_says_what_the_store_has(job: FinishedJob, client: headstart.Client) -> None:
    plan = client.plan(reviews.spec(), headstart.ServerPath("reviews.csv"))
    assert plan.train_rows + plan.validation_rows + plan.test_rows == 240
    assert [(item.rows_found, item.rows_total) for item in plan.encode] == [(240, 240)]


def test_same_seed_gives_the_same_losses(client: headstart.Client) -> None:
    losses = []
    for _ in range(2):
        run = client.train(reviews.spec(random_seed=7), headstart.ServerPath("reviews.csv"))
        losses.append([event.epoch_finished.train["loss"] for event in run if event.HasField("epoch_finished")])
    assert losses[0] == losses[1]
    assert len(losses[0]) == 3


def test_every_output_type_trains_and_predicts(client: headstart.Client) -> None:
    wanted = reviews.spec(epochs=30)
    wanted["output_features"] = [
        {"name": "verdict", "type": "category"},
        {"name": "watched", "type": "binary"},
        {"name": "score", "type": "number"},
        {"name": "tags", "type": "set"},
        {"name": "point", "type": "vector"},
    ]
    wanted["combiner"] = {"num_fc_layers": 1, "output_size": 32, "norm": "ghost", "virtual_batch_size": 8}
    job = client.train(wanted, headstart.ServerPath("reviews.csv")).result()
    metrics = job.best_epoch.test
    assert metrics["watched.accuracy"] > 0.8
    assert metrics["score.r2"] > 0.5
    answer = client.predict(job.model, reviews.columns(ROWS[:5], "review", "price", "category"))
    assert [type(answer[name].values[0]) for name in ("verdict", "watched", "score")] == [str, str, float]
    assert list(answer["watched"].classes) == ["no", "yes"]
    assert set(answer["watched"].values) <= {"no", "yes"}
    assert len(answer["point"].values[0]) == 2
    assert set(answer["tags"].values[0]) <= {"happy", "cheap", "none"}


def test_a_trainable_encoder_learns_and_is_served(client: headstart.Client) -> None:
    wanted = reviews.spec(epochs=4, learning_rate=1e-3, use_mixed_precision=True)
    wanted["input_features"][0]["encoder"]["trainable"] = True
    job = client.train(wanted, headstart.ServerPath("reviews.csv")).result()
    assert job.best_epoch.validation["verdict.accuracy"] > 0.8
    inputs = reviews.columns(ROWS[:20], "review", "price", "category")
    labels = client.predict(job.model, inputs)["verdict"].values
    assert sum(a == row["verdict"] for a, row in zip(labels, ROWS[:20], strict=True)) >= 16


def test_cache_changes_time_but_not_the_result(client: headstart.Client) -> None:
    losses = []
    for cached in (True, False):
        wanted = reviews.spec(batch_size=16, eval_batch_size=64)
        precision = {"embedding_precision": "fp32"} if cached else {}
        wanted["input_features"][0]["preprocessing"] = {"cache_encoder_embeddings": cached, **precision}
        job = client.train(wanted, headstart.ServerPath("reviews.csv")).result()
        losses.append(job.best_epoch.validation["loss"])
    assert losses[0] == pytest.approx(losses[1], abs=0.05)
