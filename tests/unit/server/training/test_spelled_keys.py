"""Each key of Ludwig's trainer and of its sampling changes a training as it says, in its spelling and in ours."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.spelled import POSITIVE, TRAINING_ROWS, Training, spec_of, trained
from tests.support.spelled_keys import (
    BASE,
    EPOCHS,
    RATE,
    Check,
    Settings,
    SpelledKey,
    Trainings,
    learns_otherwise,
    near,
    nothing,
)


def _evaluates(*expected: tuple[int, int]) -> Check:
    return lambda found, base: found.evaluations == list(expected) != base.evaluations


def _positives(found: Training) -> int:
    return sum(row < POSITIVE for row in found.rows)


SCHEDULER = "learning_rate_scheduler"
CONSTANT: Settings = {SCHEDULER: {"decay": "constant"}}


def _optimizer(key: str, kind: str, given: Settings, theirs: Settings | None = None, **without: Any) -> SpelledKey:
    """A row of the optimizer, against the same one without the key."""
    before = {"type": kind, **without}
    return SpelledKey(
        f"{kind}: {key}",
        {"optimizer": {**before, **(given if theirs is None else theirs)}},
        {"optimizer": {**before, **given}},
        learns_otherwise,
        {"optimizer": before},
    )


ROWS = [
    SpelledKey(
        "optimizer.lr",
        {"learning_rate": "auto", "optimizer": {"type": "sgd", "lr": 0.03}},
        {"learning_rate": 0.03},
        lambda found, base: found.rates[0] == 0.03 != base.rates[0],
    ),
    SpelledKey("optimizer: gd", {"optimizer": "gradient_descent"}, {}, lambda found, base: found.same(base)),
    _optimizer("weight_decay", "adamw", {"weight_decay": 0.5}),
    _optimizer("betas", "adam", {"betas": [0.5, 0.9]}, {"beta_1": 0.5, "beta_2": 0.9}),
    _optimizer("eps", "adam", {"eps": 0.1}, {"epsilon": 0.1}),
    _optimizer("amsgrad", "adam", {"amsgrad": True}, betas=[0.9, 0.5]),
    _optimizer("momentum", "sgd", {"momentum": 0.9}),
    _optimizer("dampening", "sgd", {"dampening": 0.5}, momentum=0.9),
    _optimizer("nesterov", "sgd", {"nesterov": True}, momentum=0.9),
    _optimizer("rho", "adadelta", {"rho": 0.5}),
    _optimizer("initial_accumulator_value", "adagrad", {"initial_accumulator_value": 0.5}),
    _optimizer("lr_decay", "adagrad", {"lr_decay": 0.5}),
    _optimizer("alpha", "rmsprop", {"alpha": 0.5}),
    _optimizer("centered", "rmsprop", {"centered": True}),
    _optimizer("momentum", "rmsprop", {"momentum": 0.5}),
    _optimizer("momentum_decay", "nadam", {"momentum_decay": 0.5}),
    SpelledKey(
        "optimizer.clip_global_norm",
        {"optimizer": {"type": "sgd", "clip_global_norm": 0.01, "clipnorm": None}},
        {"gradient_clipping": {"clipglobalnorm": 0.01}},
        learns_otherwise,
    ),
    SpelledKey(
        "gradient_clipping",
        {"gradient_clipping": {"clipglobalnorm": None, "clipnorm": None, "clipvalue": 0.001}},
        {"gradient_clipping": {"clipvalue": 0.001}},
        learns_otherwise,
    ),
    SpelledKey("train_steps", {"train_steps": 13}, {"train_steps": 13}, _evaluates((1, 8), (2, 13))),
    SpelledKey(
        "steps_per_checkpoint",
        {"steps_per_checkpoint": 3, "epochs": 2},
        {"steps_per_checkpoint": 3, "epochs": 2},
        _evaluates((1, 3), (1, 6), (1, 8), (2, 11), (2, 14), (2, 16)),
    ),
    SpelledKey(
        "steps_per_checkpoint beyond an epoch",
        {"steps_per_checkpoint": 100},
        {},
        lambda found, base: found.same(base),
    ),
    SpelledKey(
        "checkpoints_per_epoch",
        {"checkpoints_per_epoch": 2, "steps_per_checkpoint": 0},
        {"checkpoints_per_epoch": 2},
        _evaluates((1, 4), (1, 8), (2, 12), (2, 16), (3, 20), (3, 24)),
    ),
    SpelledKey(
        "early_stop counts evaluations",
        {"early_stop": 2, "checkpoints_per_epoch": 4},
        {"early_stop": 2, "checkpoints_per_epoch": 4},
        lambda found, base: (
            len(found.reports) - max(report.evaluation for report in found.reports if report.best) == 2
            and len(found.reports) < 12
        ),
        {"learning_rate": 30.0, **CONSTANT},
    ),
    *(
        SpelledKey(
            f"regularization_type: {kind}",
            {"regularizer": kind, "regularization_lambda": 0.1},
            {"regularization_type": kind, "regularization_lambda": 0.1},
            learns_otherwise,
        )
        for kind in ("l1", "l2", "l1_l2")
    ),
    SpelledKey(
        "regularization_type: null",
        {"regularization_type": None, "regularization_lambda": 0.1},
        {},
        lambda found, base: found.same(base) and "null switches" in found.notes[0],
    ),
    SpelledKey("regularization_lambda: 0", {"regularization_lambda": 0.0, "regularization_type": "l2"}, {}, nothing),
    SpelledKey(
        "should_shuffle: false",
        {"should_shuffle": False},
        {"should_shuffle": False},
        lambda found, base: (
            found.batches == [list(range(start, start + 10)) for start in range(0, 80, 10)] * EPOCHS
            and base.batches[0] != found.batches[0]
        ),
    ),
    SpelledKey(
        "batch_size: auto",
        {"batch_size": "auto"},
        {"batch_size": None},
        lambda found, base: {len(batch) for batch in found.batches} == {16},
    ),
    SpelledKey(
        "max_batch_size",
        {"batch_size": "auto", "max_batch_size": 5},
        {"batch_size": None, "max_batch_size": 5},
        lambda found, _: {len(batch) for batch in found.batches} == {5},
    ),
    SpelledKey(
        "effective_batch_size",
        {"effective_batch_size": 20, "gradient_accumulation_steps": "auto"},
        {"gradient_accumulation_steps": 2},
        lambda found, base: len(found.rates) == 12 and found.batches == base.batches,
    ),
    SpelledKey(
        "effective_batch_size of an automatic batch",
        {"effective_batch_size": 40, "batch_size": "auto"},
        {"batch_size": 40},
        lambda found, _: {len(batch) for batch in found.batches} == {40},
    ),
    SpelledKey("eval_batch_size", {"eval_batch_size": 0}, {}, nothing),
    SpelledKey("bucketing_field", {"bucketing_field": "x"}, {}, nothing),
    SpelledKey("enable_gradient_checkpointing", {"enable_gradient_checkpointing": True}, {}, nothing),
    SpelledKey("increase_batch_size_on_plateau: 0", {"increase_batch_size_on_plateau": 0}, {}, nothing),
    SpelledKey(
        "learning_rate_scaling",
        {"learning_rate_scaling": "sqrt"},
        {"learning_rate_scaling": "sqrt"},
        lambda found, base: near([found.rates[0], base.rates[0]], [RATE * 2**0.5, RATE * 2]),
        sections={"backend": {"type": "ray", "trainer": {"num_workers": 2, "use_gpu": False}}},
    ),
    SpelledKey(
        "oversample_minority",
        {},
        {},
        lambda found, _: _positives(found) == 48 and len(found.rows) == 48 + 64 and set(found.rows) == set(range(80)),
        rows=({"oversample_minority": 0.75}, {"oversample_minority": 0.75}),
    ),
    SpelledKey(
        "undersample_majority",
        {},
        {},
        lambda found, _: _positives(found) == 16 and len(found.rows) == 16 + 32 == len(set(found.rows)),
        rows=({"undersample_majority": 0.5}, {"undersample_majority": 0.5}),
    ),
    SpelledKey(
        "sample_ratio",
        {},
        {},
        lambda found, base: 20 < len(found.rows) < 60 and set(found.rows) < set(base.rows),
        rows=({"sample_ratio": 0.5}, {"sample_ratio": 0.5}),
    ),
    SpelledKey(
        "sample_size",
        {},
        {},
        lambda found, base: len(found.rows) < 60 and set(found.rows) < set(base.rows),
        rows=({"sample_size": 60, "sample_ratio": 1.0}, {"sample_size": 60}),
    ),
]


@pytest.fixture(scope="module")
def trainings() -> Trainings:
    return Trainings()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_a_key_changes_a_training_as_it_says_in_both_spellings(
    row: SpelledKey, tmp_path: Path, trainings: Trainings
) -> None:
    trainings.require_alike(tmp_path, row)


def test_a_row_is_drawn_about_as_often_as_any_other_of_its_label(tmp_path: Path) -> None:
    found = trained(tmp_path, spec_of(BASE, {"oversample_minority": 0.5}))
    times = Counter(found.rows)
    assert {times[row] for row in range(POSITIVE)} == {2} and len(found.rows) == TRAINING_ROWS + POSITIVE


def test_sampling_draws_the_same_rows_again(tmp_path: Path) -> None:
    for rows in ({"oversample_minority": 0.6}, {"undersample_majority": 0.6}, {"sample_size": 50}):
        assert trained(tmp_path, spec_of(BASE, rows)).rows == trained(tmp_path, spec_of(BASE, rows)).rows
