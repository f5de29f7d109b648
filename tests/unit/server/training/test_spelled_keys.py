"""Each key of Ludwig's trainer and of its sampling changes a training as it says, in its spelling and in ours."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LRScheduler,
    ReduceLROnPlateau,
    StepLR,
)

from tests.support.spelled import POSITIVE, TRAINING_ROWS, Training, spec_of, trained

RATE, STEPS, EPOCHS = 0.1, 8, 3
BASE: dict[str, Any] = {
    "epochs": EPOCHS,
    "batch_size": 10,
    "learning_rate": RATE,
    "optimizer": {"type": "sgd"},
    "early_stop": 0,
    "checkpoint": False,
}
Check = Callable[[Training, Training], bool]
"""Of the training with the key, and of the one without it."""
Settings = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A key, as Ludwig's files have it, as ours have it, and what differs from a training without it."""

    key: str
    theirs: Settings
    ours: Settings
    differs: Check
    without: Settings = field(default_factory=dict)
    """What both have of the trainer, beside the base."""
    rows: tuple[Settings, Settings] = ({}, {})
    """`preprocessing`, in their spelling and in ours."""
    sections: Settings = field(default_factory=dict)


def _near(found: list[float], expected: list[float]) -> bool:
    return found == pytest.approx(expected, rel=1e-9, abs=1e-15)


def _as_torch(make: Callable[[torch.optim.Optimizer], LRScheduler], steps: int = EPOCHS * STEPS) -> Check:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    scheduler, expected = make(optimizer), []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return lambda found, base: _near(found.rates, expected) and found.rates != base.rates


def _on_plateau(mode: Literal["min", "max"], times: int, value: Callable[[Any], float]) -> Check:
    def check(found: Training, base: Training) -> bool:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=found.rates[0])
        scheduler = ReduceLROnPlateau(optimizer, mode=mode, factor=0.5, patience=1, eps=0.0)
        expected: list[float] = []
        for report in found.reports:
            expected += [max(optimizer.param_groups[0]["lr"], found.rates[0] * 0.5**times)] * STEPS
            scheduler.step(value(report))
        return _near(found.rates, expected) and found.rates[-1] < found.rates[0] == base.rates[-1]

    return check


def _learns_otherwise(found: Training, base: Training) -> bool:
    return found.losses != base.losses and found.batches == base.batches


def _nothing(found: Training, base: Training) -> bool:
    return found.same(base) and any("has no effect" in note or "read as auto" in note for note in found.notes)


def _constant(found: Training, base: Training) -> bool:
    return set(found.rates) == {RATE} != set(base.rates)


def _warms_up(steps: int) -> Check:
    rising = [RATE * (step + 1) / (steps + 1) for step in range(steps)]
    return lambda found, base: _near(found.rates[:steps], rising) and base.rates[0] == RATE == found.rates[steps]


def _evaluates(*expected: tuple[int, int]) -> Check:
    return lambda found, base: found.evaluations == list(expected) != base.evaluations


def _positives(found: Training) -> int:
    return sum(row < POSITIVE for row in found.rows)


SCHEDULER = "learning_rate_scheduler"
CONSTANT: Settings = {SCHEDULER: {"decay": "constant"}}
PLATEAU: Settings = {
    "epochs": 9,
    "learning_rate": 1e-12,
    SCHEDULER: {"decay": "constant"},
}
REDUCED: Settings = {"reduce_on_plateau": 2, "reduce_on_plateau_patience": 1, "reduce_on_plateau_rate": 0.5}


def _scheduler(key: str, given: Settings, differs: Check, theirs: Settings | None = None) -> Row:
    """A row of the scheduler; `theirs` where Ludwig's older keys on the trainer are another spelling."""
    return Row(key, {SCHEDULER: given} if theirs is None else theirs, {SCHEDULER: given}, differs)


def _optimizer(key: str, kind: str, given: Settings, theirs: Settings | None = None, **without: Any) -> Row:
    """A row of the optimizer, against the same one without the key."""
    before = {"type": kind, **without}
    return Row(
        f"{kind}: {key}",
        {"optimizer": {**before, **(given if theirs is None else theirs)}},
        {"optimizer": {**before, **given}},
        _learns_otherwise,
        {"optimizer": before},
    )


_EXPONENTIAL = {"decay": "exponential", "decay_rate": 0.5, "decay_steps": 4}
_RESTARTS = {"decay": "cosine", "t_0": 4, "t_mult": 2, "eta_min": 0.01}
ROWS = [
    _scheduler("decay: linear", {"decay": "linear"}, lambda found, base: found.rates == base.rates),
    _scheduler(
        "decay: null", {"decay": "constant"}, lambda found, _: set(found.rates) == {RATE}, {SCHEDULER: {"decay": None}}
    ),
    _scheduler(
        "decay: true",
        {"decay": "exponential"},
        _as_torch(lambda optimizer: ExponentialLR(optimizer, 0.9 ** (1 / STEPS))),
        {"decay": True},
    ),
    _scheduler("decay: false", {"decay": "constant"}, _constant, {"decay": False}),
    _scheduler("decay: cosine", {"decay": "cosine"}, _as_torch(lambda optimizer: CosineAnnealingLR(optimizer, 24))),
    _scheduler(
        "decay_rate, decay_steps", _EXPONENTIAL, _as_torch(lambda optimizer: ExponentialLR(optimizer, 0.5**0.25))
    ),
    _scheduler(
        "staircase, on the trainer",
        {**_EXPONENTIAL, "staircase": True},
        _as_torch(lambda optimizer: StepLR(optimizer, 4, 0.5)),
        {**_EXPONENTIAL, "decay": True, "staircase": True},
    ),
    _scheduler(
        "t_0, t_mult, eta_min",
        _RESTARTS,
        _as_torch(lambda optimizer: CosineAnnealingWarmRestarts(optimizer, 4, 2, eta_min=0.01)),
    ),
    _scheduler("warmup_fraction", {"warmup_fraction": 0.25}, _warms_up(6)),
    _scheduler("warmup_evaluations", {"warmup_evaluations": 1.5}, _warms_up(12)),
    _scheduler(
        "learning_rate_warmup_epochs", {"warmup_evaluations": 1}, _warms_up(8), {"learning_rate_warmup_epochs": 1}
    ),
    Row(
        "reduce_on_plateau",
        {SCHEDULER: {"decay": None, **REDUCED}},
        {SCHEDULER: {"decay": "constant", **REDUCED}},
        _on_plateau("min", 2, lambda report: report.train["loss"]),
        PLATEAU,
    ),
    Row(
        "reduce_learning_rate_on_plateau and its keys",
        {
            "decay": False,
            "reduce_learning_rate_on_plateau": 1.0,
            "reduce_learning_rate_on_plateau_patience": 1,
            "reduce_learning_rate_on_plateau_rate": 0.5,
            "reduce_learning_rate_eval_metric": "accuracy",
            "reduce_learning_rate_eval_split": "validation",
        },
        {
            SCHEDULER: {
                "decay": "constant",
                **REDUCED,
                "reduce_on_plateau": 1,
                "reduce_eval_metric": "label.accuracy",
                "reduce_eval_split": "validation",
            }
        },
        _on_plateau("max", 1, lambda report: report.validation["label.accuracy"]),
        PLATEAU,
    ),
    Row(
        "optimizer.lr",
        {"learning_rate": "auto", "optimizer": {"type": "sgd", "lr": 0.03}},
        {"learning_rate": 0.03},
        lambda found, base: found.rates[0] == 0.03 != base.rates[0],
    ),
    Row("optimizer: gd", {"optimizer": "gradient_descent"}, {}, lambda found, base: found.same(base)),
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
    Row(
        "optimizer.clip_global_norm",
        {"optimizer": {"type": "sgd", "clip_global_norm": 0.01, "clipnorm": None}},
        {"gradient_clipping": {"clipglobalnorm": 0.01}},
        _learns_otherwise,
    ),
    Row(
        "gradient_clipping",
        {"gradient_clipping": {"clipglobalnorm": None, "clipnorm": None, "clipvalue": 0.001}},
        {"gradient_clipping": {"clipvalue": 0.001}},
        _learns_otherwise,
    ),
    Row("train_steps", {"train_steps": 13}, {"train_steps": 13}, _evaluates((1, 8), (2, 13))),
    Row(
        "steps_per_checkpoint",
        {"steps_per_checkpoint": 3, "epochs": 2},
        {"steps_per_checkpoint": 3, "epochs": 2},
        _evaluates((1, 3), (1, 6), (1, 8), (2, 11), (2, 14), (2, 16)),
    ),
    Row(
        "steps_per_checkpoint beyond an epoch",
        {"steps_per_checkpoint": 100},
        {},
        lambda found, base: found.same(base),
    ),
    Row(
        "checkpoints_per_epoch",
        {"checkpoints_per_epoch": 2, "steps_per_checkpoint": 0},
        {"checkpoints_per_epoch": 2},
        _evaluates((1, 4), (1, 8), (2, 12), (2, 16), (3, 20), (3, 24)),
    ),
    Row(
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
        Row(
            f"regularization_type: {kind}",
            {"regularizer": kind, "regularization_lambda": 0.1},
            {"regularization_type": kind, "regularization_lambda": 0.1},
            _learns_otherwise,
        )
        for kind in ("l1", "l2", "l1_l2")
    ),
    Row(
        "regularization_type: null",
        {"regularization_type": None, "regularization_lambda": 0.1},
        {},
        lambda found, base: found.same(base) and "null switches" in found.notes[0],
    ),
    Row("regularization_lambda: 0", {"regularization_lambda": 0.0, "regularization_type": "l2"}, {}, _nothing),
    Row(
        "should_shuffle: false",
        {"should_shuffle": False},
        {"should_shuffle": False},
        lambda found, base: (
            found.batches == [list(range(start, start + 10)) for start in range(0, 80, 10)] * EPOCHS
            and base.batches[0] != found.batches[0]
        ),
    ),
    Row(
        "batch_size: auto",
        {"batch_size": "auto"},
        {"batch_size": None},
        lambda found, base: {len(batch) for batch in found.batches} == {16},
    ),
    Row(
        "max_batch_size",
        {"batch_size": "auto", "max_batch_size": 5},
        {"batch_size": None, "max_batch_size": 5},
        lambda found, _: {len(batch) for batch in found.batches} == {5},
    ),
    Row(
        "effective_batch_size",
        {"effective_batch_size": 20, "gradient_accumulation_steps": "auto"},
        {"gradient_accumulation_steps": 2},
        lambda found, base: len(found.rates) == 12 and found.batches == base.batches,
    ),
    Row(
        "effective_batch_size of an automatic batch",
        {"effective_batch_size": 40, "batch_size": "auto"},
        {"batch_size": 40},
        lambda found, _: {len(batch) for batch in found.batches} == {40},
    ),
    Row("eval_batch_size", {"eval_batch_size": 0}, {}, _nothing),
    Row("bucketing_field", {"bucketing_field": "x"}, {}, _nothing),
    Row("enable_gradient_checkpointing", {"enable_gradient_checkpointing": True}, {}, _nothing),
    Row("increase_batch_size_on_plateau: 0", {"increase_batch_size_on_plateau": 0}, {}, _nothing),
    Row(
        "learning_rate_scaling",
        {"learning_rate_scaling": "sqrt"},
        {"learning_rate_scaling": "sqrt"},
        lambda found, base: _near([found.rates[0], base.rates[0]], [RATE * 2**0.5, RATE * 2]),
        sections={"backend": {"type": "ray", "trainer": {"num_workers": 2, "use_gpu": False}}},
    ),
    Row(
        "oversample_minority",
        {},
        {},
        lambda found, _: _positives(found) == 48 and len(found.rows) == 48 + 64 and set(found.rows) == set(range(80)),
        rows=({"oversample_minority": 0.75}, {"oversample_minority": 0.75}),
    ),
    Row(
        "undersample_majority",
        {},
        {},
        lambda found, _: _positives(found) == 16 and len(found.rows) == 16 + 32 == len(set(found.rows)),
        rows=({"undersample_majority": 0.5}, {"undersample_majority": 0.5}),
    ),
    Row(
        "sample_ratio",
        {},
        {},
        lambda found, base: 20 < len(found.rows) < 60 and set(found.rows) < set(base.rows),
        rows=({"sample_ratio": 0.5}, {"sample_ratio": 0.5}),
    ),
    Row(
        "sample_size",
        {},
        {},
        lambda found, base: len(found.rows) < 60 and set(found.rows) < set(base.rows),
        rows=({"sample_size": 60, "sample_ratio": 1.0}, {"sample_size": 60}),
    ),
]


@pytest.fixture(scope="module")
def trainings() -> dict[str, Training]:
    """What was trained before, by its spec: most rows have the same training without their key."""
    return {}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_a_key_changes_a_training_as_it_says_in_both_spellings(
    row: Row, tmp_path: Path, trainings: dict[str, Training]
) -> None:
    if row.sections:
        pytest.importorskip("ray")

    def run(settings: Settings, rows: Settings) -> Training:
        values = spec_of({**BASE, **row.without, **settings}, rows, **row.sections)
        key = json.dumps(values)
        if key not in trainings:
            trainings[key] = trained(tmp_path, values)
        return trainings[key]

    without, theirs, ours = run({}, {}), run(row.theirs, row.rows[0]), run(row.ours, row.rows[1])
    assert theirs.same(ours)
    assert row.differs(theirs, without), (theirs, without)


def test_a_row_is_drawn_about_as_often_as_any_other_of_its_label(tmp_path: Path) -> None:
    found = trained(tmp_path, spec_of(BASE, {"oversample_minority": 0.5}))
    times = Counter(found.rows)
    assert {times[row] for row in range(POSITIVE)} == {2} and len(found.rows) == TRAINING_ROWS + POSITIVE


def test_sampling_draws_the_same_rows_again(tmp_path: Path) -> None:
    for rows in ({"oversample_minority": 0.6}, {"undersample_majority": 0.6}, {"sample_size": 50}):
        assert trained(tmp_path, spec_of(BASE, rows)).rows == trained(tmp_path, spec_of(BASE, rows)).rows
