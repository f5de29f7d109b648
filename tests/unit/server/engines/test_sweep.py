"""A job's sweep: every trial reported, the best chosen by the validation rows, rows prepared once."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from headstart_server.core.errors import CancelledError
from headstart_server.core.layout import Layout
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines import sweep as sweep_module
from headstart_server.engines.fitting import Fitting
from headstart_server.engines.job_context import JobContext
from headstart_server.engines.preparing import prepare_job
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.engines.sweep import Sweep
from headstart_server.planning.sweep import rows_key
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.parse import parse_yaml
from headstart_server.storage.storage import Storage

from tests.support.spelled import columns, spec_of
from tests.support.sweeps import Followed, swept
from tests.support.tables import sources_of

RATES = {"trainer.learning_rate": [1e-6, 0.05], "model_type": ["ecd", "gbm"]}


def test_every_trial_is_reported_and_the_best_is_chosen(tmp_path: Path) -> None:
    best, done = swept(tmp_path, {"search": "grid", "parameters": RATES}, epochs=4)
    assert [(trial.number, trial.trials) for trial in done.trials] == [(number, 4) for number in (1, 2, 3, 4)]
    for trial in done.trials:
        assert trial.metric == "label.accuracy" and trial.value is not None and trial.standard_error is not None
        assert trial.train_rows == 80 and trial.seconds > 0 and trial.size_bytes > 0 and (trial.head_seconds or 0) > 0
    winner = max(done.trials, key=lambda trial: (trial.score, -trial.number))
    assert (best.trainer.learning_rate, best.model_type or "ecd") == (
        winner.parameters["trainer.learning_rate"],
        winner.parameters["model_type"],
    )
    assert not best.sweep.parameters
    assert not done.reports  # epochs are those of the model that is published


def test_by_another_metric_another_trial_is_best(tmp_path: Path) -> None:
    sweep = {"metric": "loss", "search": "grid", "parameters": {"trainer.learning_rate": [1e-6, 0.05]}}
    best, done = swept(tmp_path, sweep, epochs=4)
    assert best.trainer.learning_rate == 0.05
    assert all(trial.metric == "loss" and trial.standard_error is None for trial in done.trials)


def test_a_trial_is_the_training_that_its_spec_alone_would_be(tmp_path: Path) -> None:
    parameters = {"trainer.learning_rate": [0.003, 0.05]}
    _, both = swept(tmp_path / "a", {"search": "grid", "parameters": parameters}, epochs=3)
    _, alone = swept(tmp_path / "b", {"parameters": {"trainer.learning_rate": [0.05]}}, epochs=3)
    assert both.trials[1].value == alone.trials[0].value


def test_halving_gives_the_best_third_more_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_module, "_LEAST_ROWS", 20)
    parameters = {"trainer.learning_rate": [10.0**-power for power in range(1, 10)]}
    best, done = swept(tmp_path, {"search": "grid", "halving": True, "parameters": parameters}, repeats=3, epochs=3)
    assert [trial.train_rows for trial in done.trials] == [27] * 9 + [80] * 3 + [240]
    first = sorted(done.trials[:9], key=lambda trial: (-trial.score, trial.number))[:3]
    assert [trial.number for trial in done.trials[9:12]] == [trial.number for trial in first]
    assert best.trainer.learning_rate == done.trials[-1].parameters["trainer.learning_rate"]


def test_of_few_rows_nothing_is_halved(tmp_path: Path) -> None:
    _, done = swept(tmp_path, {"halving": True, "parameters": {"trainer.learning_rate": [0.1, 0.2]}}, epochs=1)
    assert [trial.train_rows for trial in done.trials] == [80, 80]


def test_after_its_time_no_trial_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 40))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    sweep = {"seconds": 100, "trials": 20, "parameters": {"trainer.learning_rate": {"min": 0.01, "max": 0.1}}}
    _, done = swept(tmp_path, sweep, epochs=1)
    assert 1 <= len(done.trials) < 20


def test_a_cancelled_job_ends_within_a_trial(tmp_path: Path) -> None:
    class Cancelling(Followed):
        def check(self) -> None:
            if self.trials:
                raise CancelledError("the job was cancelled")

    done = Cancelling()
    with pytest.raises(CancelledError):
        swept(tmp_path, {"parameters": {"trainer.learning_rate": [0.1, 0.2]}}, done, epochs=2)
    assert len(done.trials) == 1


@pytest.mark.parametrize("held", [1 << 30, 0])
def test_many_kinds_of_rows_are_each_prepared_once_while_they_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    kinds = list[str]()

    def noted(job: JobContext, *arguments: Any) -> Any:
        kinds.append(rows_key(job.spec))
        return prepare_job(job, *arguments)

    monkeypatch.setattr(sweep_module, "prepare_job", noted)
    monkeypatch.setattr(sweep_module, "_MOST_HELD_BYTES", held)
    normalizations = ["zscore", "minmax", "none"]
    parameters: dict[str, list[Any]] = {"trainer.learning_rate": [0.01, 0.05]}
    parameters |= {f"input_features[{index}].preprocessing.normalization": normalizations for index in range(2)}
    _, done = swept(tmp_path, {"search": "grid", "parameters": parameters}, epochs=1)
    assert all(trial.value is not None for trial in done.trials)
    assert (len(kinds) == len(set(kinds))) == bool(held)


def test_folds_compare_trials_on_every_row_that_may_be_learned_from(tmp_path: Path) -> None:
    sweep = {"search": "grid", "parameters": {"model_type": ["ridge", "knn", "ecd"]}, "folds": 5}
    best, done = swept(tmp_path, sweep)
    for trial in done.trials:
        assert trial.train_rows == 80  # of 80 training and 20 validation rows, four fifths
        assert trial.value is not None and trial.standard_error is not None
        assert round(trial.value * 100, 4) % 1 == 0  # a share of 100 rows
        assert trial.standard_error == pytest.approx((trial.value * (1 - trial.value) / 100) ** 0.5)
    winner = max(done.trials, key=lambda trial: (trial.score, -trial.number))
    assert (best.model_type or "ecd") == winner.parameters["model_type"]


@pytest.mark.parametrize("folds", [None, 4])
def test_errors_of_numbers_have_standard_errors(tmp_path: Path, folds: int | None) -> None:
    sweep = {"search": "grid", "parameters": {"model_type": ["ecd", "ridge"]}, **({"folds": folds} if folds else {})}
    values = spec_of({}, {}, sweep=sweep)
    values |= {
        "input_features": [{"name": "x", "type": "number"}],
        "output_features": [{"name": "y", "type": "number"}],
    }
    done, runtime = Followed(), RuntimeContext.at(Storage(Layout(tmp_path)), ModelSources(), use_gpu=False)
    Sweep(JobContext("job", "", parse_yaml(json.dumps(values)), sources_of(**columns())), runtime, done).best()
    rows = 100 if folds else 20
    for trial in done.trials:
        assert trial.metric == "y.root_mean_squared_error" and trial.value is not None
        # of errors that are about normal, sigma / sqrt(2 n)
        assert trial.standard_error == pytest.approx(trial.value / (2 * rows) ** 0.5, rel=0.6)


def test_a_trial_without_an_input_is_trained_without_it(tmp_path: Path) -> None:
    parameters = {"input_features[0].active": [True, False], "input_features[1].active": [True, False]}
    _, done = swept(tmp_path, {"search": "grid", "parameters": parameters}, epochs=3)
    assert [trial.failure for trial in done.trials] == ["", "", ""]
    assert len({trial.size_bytes for trial in done.trials}) > 1


@pytest.mark.parametrize("halving", [False, True])
def test_a_trial_that_is_under_way_when_time_is_over_ends_without_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, halving: bool
) -> None:
    first_round, late = 2 if halving else 1, 0.0
    trained = Fitting._trained

    def slow(fitting: Fitting, loop: Any) -> Any:
        nonlocal late
        late = 2e6 if len(done.trials) >= first_round else 0.0
        return trained(fitting, loop)

    monkeypatch.setattr(Fitting, "_trained", slow)
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + late, perf_counter=time.perf_counter)
    monkeypatch.setattr(sweep_module, "time", clock)
    done = Followed()
    sweep = {"search": "grid", "seconds": 1e6, "halving": halving, "parameters": {"trainer.learning_rate": [0.05, 0.1]}}
    best, _ = swept(tmp_path, sweep, done, repeats=10, epochs=2)
    assert [trial.failure for trial in done.trials] == [""] * first_round
    assert best.trainer.learning_rate in (0.05, 0.1)


def test_a_search_that_learns_does_not_spend_its_seconds_on_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later, real, clocks = [0.0], Sweep._embeddings, (time.monotonic, time.perf_counter)
    for clock in clocks:
        monkeypatch.setattr(time, clock.__name__, lambda clock=clock: clock() + later[0])

    def slow(sweep: Sweep, spec: TrainSpec) -> Any:
        later[0] += 1_000.0
        return real(sweep, spec)

    monkeypatch.setattr(Sweep, "_embeddings", slow)
    sweep = {"search": "tpe", "seconds": 60, "trials": 3, "parameters": {"trainer.learning_rate": [0.01, 0.02, 0.05]}}
    _, done = swept(tmp_path, sweep, epochs=1)
    assert len(done.trials) == 3 and all(trial.value is not None for trial in done.trials)


@pytest.mark.parametrize("folds", [None, 4])
def test_trials_are_compared_on_the_rows_that_all_of_them_have(tmp_path: Path, folds: int | None) -> None:
    """One without the input whose holes cost the others their rows is not judged by more of them."""
    rows = columns()
    rows["x"] = [None if index % 3 == 0 else value for index, value in enumerate(rows["x"])]
    values = spec_of({"epochs": 1}, {}, sweep={"parameters": {"input_features[0].active": [True, False]}})
    values["sweep"] |= {"search": "grid", **({"folds": folds} if folds else {})}
    assert values["input_features"][0]["name"] == "x"
    values["input_features"][0]["preprocessing"] = {"missing_value_strategy": "drop_row"}
    done, runtime = Followed(), RuntimeContext.at(Storage(Layout(tmp_path)), ModelSources(), use_gpu=False)
    compared = list[int]()

    def noted(fitting: Fitting, share: float, *rest: Any) -> Any:
        found = try_out(fitting, share, *rest)
        compared.append(found.compared_rows)
        return found

    try_out = Fitting.try_out
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fitting, "try_out", noted)
        Sweep(JobContext("job", "", parse_yaml(json.dumps(values)), sources_of(**rows)), runtime, done).best()
    assert [trial.failure for trial in done.trials] == ["", ""]
    assert done.trials[0].train_rows < done.trials[1].train_rows
    half = len(compared) // 2
    if folds is None:
        assert compared[0] == compared[1]
    else:
        assert sum(compared[:half]) == sum(compared[half:])
