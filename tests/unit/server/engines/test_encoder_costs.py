"""What the encoders of trials take: timed once for each, and told where trials have others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from headstart_server.core.layout import Layout
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines.encoder_costs import EncoderTimes
from headstart_server.engines.events import JobEvent
from headstart_server.engines.job_context import JobContext
from headstart_server.engines.listener import Silent
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.engines.sweep import Sweep
from headstart_server.engines.trials import TrialReport
from headstart_server.spec.parse import parse_yaml
from headstart_server.storage.storage import Storage

from tests.support import reviews
from tests.support.tables import sources_of


class _Trials(Silent):
    def __init__(self) -> None:
        self.found: list[TrialReport] = []

    def report(self, event: JobEvent) -> None:
        if isinstance(event, TrialReport):
            self.found.append(event)


def _trials(root: Path, encoder: Path, parameters: dict[str, Any]) -> list[TrialReport]:
    text = {"name": "review", "type": "text", "encoder": {"pretrained_model_name_or_path": encoder.name}}
    values = {
        "input_features": [text, {"name": "price", "type": "number"}],
        "output_features": [{"name": "verdict", "type": "category"}],
        "trainer": {"epochs": 1},
        "sweep": {"search": "grid", "parameters": parameters},
    }
    runtime = RuntimeContext.at(Storage(Layout(root)), ModelSources(encoder.parent), use_gpu=False)
    rows = reviews.columns(reviews.make_rows(60), "review", "price", "verdict")
    done = _Trials()
    Sweep(JobContext("job", "", parse_yaml(json.dumps(values)), sources_of(**rows)), runtime, done).best()
    return done.found


def test_trials_of_other_encoders_are_compared_with_these(
    tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, timed = EncoderTimes._measured, list[str]()

    def noted(times: EncoderTimes, prepared: Any, plan: Any) -> float:
        timed.append(plan.reduction)
        return measured(times, prepared, plan)

    monkeypatch.setattr(EncoderTimes, "_measured", noted)
    parameters = {
        "input_features[0].encoder.reduce_output": ["mean", "cls"],
        "input_features[0].active": [True, False],
        "trainer.learning_rate": [0.001, 0.01],
    }
    found = _trials(tmp_path, tiny_bert, parameters)
    assert [trial.failure for trial in found] == [""] * 6
    weights = (tiny_bert / "model.safetensors").stat().st_size
    by_input: dict[bool, list[TrialReport]] = {True: [], False: []}
    for trial in found:
        by_input[trial.parameters.get("input_features[0].active", True)].append(trial)
    assert all((trial.encoder_seconds or 0) > 0 and trial.encoder_bytes >= weights for trial in by_input[True])
    assert [(trial.encoder_seconds, trial.encoder_bytes) for trial in by_input[False]] == [(0.0, 0)] * 2
    assert sorted(timed) == ["cls", "mean"]


def test_where_all_trials_have_the_same_encoders_nothing_is_timed(tmp_path: Path, tiny_bert: Path) -> None:
    found = _trials(tmp_path, tiny_bert, {"trainer.learning_rate": [0.001, 0.01]})
    assert [trial.encoder_seconds for trial in found] == [None, None]
    assert len({trial.encoder_bytes for trial in found}) == 1 and found[0].encoder_bytes > 0


def test_of_an_encoder_that_trains_the_pretrained_one_is_timed(tmp_path: Path, tiny_bert: Path) -> None:
    [frozen, trained] = _trials(tmp_path, tiny_bert, {"input_features[0].encoder.trainable": [False, True]})
    assert (trained.encoder_seconds or 0) > 0
    assert frozen.encoder_bytes > 0 and trained.encoder_bytes == 0
    assert trained.size_bytes > frozen.size_bytes
