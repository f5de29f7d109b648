"""A trial of a sweep that fails does so alone, and a storage that is away fails none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from headstart_server.core.errors import StorageError, TrainingFailedError
from headstart_server.core.layout import Layout
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines import sweep as sweep_module
from headstart_server.engines.fitting import Fitting
from headstart_server.engines.job_context import JobContext
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.engines.sweep import Sweep
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.parse import parse_yaml
from headstart_server.storage.storage import Storage

from tests.support.spelled import columns, spec_of
from tests.support.sweeps import Followed, swept
from tests.support.tables import sources_of


def swept_where_the_first_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> tuple[TrainSpec, Followed]:
    """A sweep of two trials, of which the first raises an error."""
    try_out = Fitting.try_out

    def failing(fitting: Fitting, share: float, *rest: Any) -> Any:
        if fitting._trainer.learning_rate > 1:
            raise error
        return try_out(fitting, share, *rest)

    monkeypatch.setattr(Fitting, "try_out", failing)
    return swept(folder, {"search": "grid", "parameters": {"trainer.learning_rate": [50.0, 0.01]}}, epochs=2)


def test_a_trial_that_fails_is_told_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    best, done = swept_where_the_first_fails(
        tmp_path, monkeypatch, TrainingFailedError("the training loss is not finite")
    )
    assert [trial.failure for trial in done.trials] == ["the training loss is not finite", ""]
    assert done.trials[0].value is None and best.trainer.learning_rate == 0.01


def test_where_every_trial_fails_so_does_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> Any:
        raise TrainingFailedError("the training loss is not finite")

    monkeypatch.setattr(Fitting, "try_out", failing)
    with pytest.raises(
        TrainingFailedError, match="none of 2 trials could be trained; trial 1: the training loss"
    ) as caught:
        swept(tmp_path, {"parameters": {"trainer.learning_rate": [0.1, 0.2]}})
    assert caught.value.field == "sweep"


def test_where_those_that_got_more_rows_fail_the_best_of_the_others_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try_out = Fitting.try_out

    def failing(fitting: Fitting, share: float, *rest: Any) -> Any:
        if share > 0.2:
            raise TrainingFailedError("out of memory")
        return try_out(fitting, share, *rest)

    monkeypatch.setattr(Fitting, "try_out", failing)
    monkeypatch.setattr(sweep_module, "_LEAST_ROWS", 20)
    parameters = {"trainer.learning_rate": [10.0**-power for power in range(1, 10)]}
    best, done = swept(tmp_path, {"search": "grid", "halving": True, "parameters": parameters}, repeats=3, epochs=3)
    first = sorted(done.trials[:9], key=lambda trial: (-trial.score, trial.number))
    assert [trial.failure for trial in done.trials[9:12]] == ["out of memory"] * 3
    assert best.trainer.learning_rate == first[3].parameters["trainer.learning_rate"]


def test_a_trial_whose_rows_cannot_be_prepared_fails_alone(tmp_path: Path) -> None:
    parameters = {"input_features[0].preprocessing.missing_value_strategy": ["fail", "fill_with_mean"]}
    values = spec_of({"epochs": 2}, {}, sweep={"search": "grid", "parameters": parameters})
    rows = columns()
    rows["x"][5] = None
    done = Followed()
    runtime = RuntimeContext.at(Storage(Layout(tmp_path)), ModelSources(), use_gpu=False)
    job = JobContext("job", "", parse_yaml(json.dumps(values)), sources_of(**rows))
    best = Sweep(job, runtime, done).best()
    assert ["missing" in trial.failure for trial in done.trials] == [True, False], [t.failure for t in done.trials]
    assert best.input_features[0].preprocessing.missing_value_strategy == "fill_with_mean"


def test_an_error_that_nobody_foresaw_fails_its_trial_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    best, done = swept_where_the_first_fails(tmp_path, monkeypatch, ArithmeticError("singular"))
    assert "failed unexpectedly (ArithmeticError)" in done.trials[0].failure and best.trainer.learning_rate == 0.01


def test_a_storage_that_is_away_fails_no_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> Any:
        raise StorageError("the bucket cannot be reached")

    monkeypatch.setattr(Fitting, "try_out", failing)
    with pytest.raises(StorageError):
        swept(tmp_path, {"parameters": {"trainer.learning_rate": [0.1, 0.2]}})
