"""Another attempt of a job's sweep: no trial is made twice, and what was found best stays so."""

from __future__ import annotations

from pathlib import Path

import pytest
from headstart_server.core.errors import PausedError
from headstart_server.engines import trials as trials_module

from tests.support.sweeps import Followed, swept


def test_a_paused_sweep_goes_on_with_the_trial_that_comes_next(tmp_path: Path) -> None:
    class Stopping(Followed):
        def stopping(self) -> bool:
            return len(self.trials) == 2

    sweep = {"search": "grid", "parameters": {"trainer.learning_rate": [1e-6, 0.05, 1e-5, 1e-7]}}
    first = Stopping()
    with pytest.raises(PausedError):
        swept(tmp_path, sweep, first, epochs=3)
    records = next(tmp_path.rglob("trials.jsonl"))
    records.write_text(records.read_text() + '{"key": "half a li')
    best, second = swept(tmp_path, sweep, epochs=3)
    assert [trial.number for trial in (*first.trials, *second.trials)] == [1, 2, 3, 4]
    _, whole = swept(tmp_path / "other", sweep, epochs=3)
    assert [trial.value for trial in (*first.trials, *second.trials)] == [trial.value for trial in whole.trials]
    assert (
        best.trainer.learning_rate
        == max(whole.trials, key=lambda trial: trial.score).parameters["trainer.learning_rate"]
    )


def test_seconds_that_were_spent_before_a_pause_are_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = {"trainer.learning_rate": [0.01, 0.02, 0.05, 0.1]}

    class Pausing(Followed):
        def stopping(self) -> bool:
            return len(self.trials) == 2

    sweep = {"search": "grid", "parameters": parameters, "seconds": 10_000}
    with pytest.raises(PausedError):
        swept(tmp_path, sweep, Pausing(), epochs=1)
    path = next(tmp_path.rglob("trials.jsonl"))
    path.write_text(path.read_text().replace('"seconds": ', '"seconds": 90000'))
    _, done = swept(tmp_path, sweep, epochs=1)
    assert not done.trials  # two are known, and there is no time for more


SWEEP = {"search": "grid", "parameters": {"trainer.learning_rate": [1e-6, 0.05, 1e-5]}, "seconds": 10_000}


def test_what_won_wins_again_whatever_time_another_attempt_has(tmp_path: Path) -> None:
    """The checkpoint of its training is there."""
    best, _ = swept(tmp_path, SWEEP, epochs=3)
    assert best.trainer.learning_rate == 0.05
    next(tmp_path.rglob("trials.jsonl")).unlink()
    again, done = swept(tmp_path, {**SWEEP, "seconds": 1e-9}, epochs=3)  # the first trial alone
    assert not done.trials and again == best


@pytest.mark.parametrize("ended", [True, False])
def test_another_machine_has_the_trials_and_what_won(
    ended: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials_module, "_SHARED_SECONDS", 0.0)

    class Stopping(Followed):
        def stopping(self) -> bool:
            return not ended and len(self.trials) == 2

    first, shared = Stopping(), tmp_path / "shared"
    if ended:
        swept(tmp_path / "here", SWEEP, first, shared=shared, epochs=3)
    else:
        with pytest.raises(PausedError):
            swept(tmp_path / "here", SWEEP, first, shared=shared, epochs=3)
    best, second = swept(tmp_path / "there", SWEEP, shared=shared, epochs=3)
    assert best.trainer.learning_rate == 0.05
    assert [trial.number for trial in (*first.trials, *second.trials)] == [1, 2, 3]
