"""A sweep as its user sees it: one job, its trials as events, a board, and the best of them published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import headstart
import pytest
from headstart.v1.training_pb2 import TrainJob

from tests.support import reviews
from tests.support.running_server import RunningServer
from tests.support.tiny_models import save_bert

SPEC: dict[str, Any] = {
    "input_features": [
        {"name": "review", "type": "text", "encoder": {"pretrained_model_name_or_path": "tiny-bert"}},
        {"name": "price", "type": "number"},
    ],
    "output_features": [{"name": "verdict", "type": "category"}],
    "trainer": {"epochs": 3},
    "sweep": {
        "search": "grid",
        "parameters": {
            "input_features[0].encoder.reduce_output": ["mean", "cls"],
            "trainer.learning_rate": [0.00001, 0.05],
        },
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> RunningServer:
    root = tmp_path_factory.mktemp("sweeps")
    save_bert(root / "models" / "tiny-bert")
    return RunningServer(root / "state", "--model-root", str(root / "models"))


def test_trials_are_told_and_the_best_is_published(server: RunningServer, tmp_path: Path) -> None:
    data = tmp_path / "reviews.csv"
    reviews.write_csv(data, reviews.make_rows(200))
    with server, server.client() as client:
        run = client.train(SPEC, data)
        events = list(run)
        job = client.jobs.get(run.result().name)
        told = [event.trial_finished for event in events if event.WhichOneof("event") == "trial_finished"]
        assert [(each.trial.number, each.trials) for each in told] == [(1, 4), (2, 4), (3, 4), (4, 4)]
        assert {each.trial.metric for each in told} == {"verdict.accuracy"}
        assert [trial.best for trial in job.trials] == [True, False, False, False]
        assert job.trials[0].value == max(trial.value for trial in job.trials)
        best = {path: value.string_value or value.number_value for path, value in job.trials[0].parameters.items()}
        assert job.resolved_spec.trainer.learning_rate == best["trainer.learning_rate"]
        feature = job.resolved_spec.input_features[0]
        assert feature.encoder.reduce_output == best["input_features[0].encoder.reduce_output"]
        assert all(trial.encoder_seconds > 0 and trial.encoder_bytes > 0 for trial in job.trials)
        assert job.spec.sweep.search == "grid" and len(job.spec.sweep.parameters) == 2
        # each pooling is encoded once, before the first trial
        kinds = [event.WhichOneof("event") for event in events]
        first = kinds.index("trial_finished")
        encoded = [e.encode_progress.rows_encoded for e in events[first:] if e.WhichOneof("event") == "encode_progress"]
        assert "encode_progress" in kinds[:first] and not any(encoded)
        assert client.predict(job.model, {"review": ["great film"], "price": [3.0]})["verdict"].values


def test_what_no_trial_can_be_is_refused_before_there_is_a_job(server: RunningServer, tmp_path: Path) -> None:
    data = tmp_path / "reviews.csv"
    reviews.write_csv(data, reviews.make_rows(50))
    with server, server.client() as client:
        parameters = {"input_features[0].encoder.pretrained_model_name_or_path": ["tiny-bert", "giant-bert"]}
        with pytest.raises(headstart.InvalidArgument) as caught:
            client.train({**SPEC, "sweep": {"parameters": parameters}}, data)
        assert "giant-bert" in str(caught.value) and "sweep.parameters" in str(caught.value)
        with pytest.raises(headstart.InvalidArgument, match=r"sweep\.metric"):
            client.train({**SPEC, "sweep": {**SPEC["sweep"], "metric": "verdict.roc"}}, data)
        assert not [job for job in client.jobs.list() if job.state == TrainJob.STATE_QUEUED]
