"""Each key of Ludwig's learning rate scheduler gives the rates of torch's own, in its spelling and in ours."""

from __future__ import annotations

from collections.abc import Callable
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

from tests.support.spelled import Training
from tests.support.spelled_keys import (
    EPOCHS,
    RATE,
    STEPS,
    Check,
    Settings,
    SpelledKey,
    Trainings,
    near,
)


def _as_torch(make: Callable[[torch.optim.Optimizer], LRScheduler], steps: int = EPOCHS * STEPS) -> Check:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    scheduler, expected = make(optimizer), []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return lambda found, base: near(found.rates, expected) and found.rates != base.rates


def _on_plateau(mode: Literal["min", "max"], times: int, value: Callable[[Any], float]) -> Check:
    def check(found: Training, base: Training) -> bool:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=found.rates[0])
        scheduler = ReduceLROnPlateau(optimizer, mode=mode, factor=0.5, patience=1, eps=0.0)
        expected: list[float] = []
        for report in found.reports:
            expected += [max(optimizer.param_groups[0]["lr"], found.rates[0] * 0.5**times)] * STEPS
            scheduler.step(value(report))
        return near(found.rates, expected) and found.rates[-1] < found.rates[0] == base.rates[-1]

    return check


def _constant(found: Training, base: Training) -> bool:
    return set(found.rates) == {RATE} != set(base.rates)


def _warms_up(steps: int) -> Check:
    rising = [RATE * (step + 1) / (steps + 1) for step in range(steps)]
    return lambda found, base: near(found.rates[:steps], rising) and base.rates[0] == RATE == found.rates[steps]


SCHEDULER = "learning_rate_scheduler"
PLATEAU: Settings = {
    "epochs": 9,
    "learning_rate": 1e-12,
    SCHEDULER: {"decay": "constant"},
}
REDUCED: Settings = {"reduce_on_plateau": 2, "reduce_on_plateau_patience": 1, "reduce_on_plateau_rate": 0.5}


def _scheduler(key: str, given: Settings, differs: Check, theirs: Settings | None = None) -> SpelledKey:
    """A row of the scheduler; `theirs` where Ludwig's older keys on the trainer are another spelling."""
    return SpelledKey(key, {SCHEDULER: given} if theirs is None else theirs, {SCHEDULER: given}, differs)


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
    SpelledKey(
        "reduce_on_plateau",
        {SCHEDULER: {"decay": None, **REDUCED}},
        {SCHEDULER: {"decay": "constant", **REDUCED}},
        _on_plateau("min", 2, lambda report: report.train["loss"]),
        PLATEAU,
    ),
    SpelledKey(
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
]


@pytest.fixture(scope="module")
def trainings() -> Trainings:
    return Trainings()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_a_key_of_the_scheduler_sets_rates_as_it_says_in_both_spellings(
    row: SpelledKey, tmp_path: Path, trainings: Trainings
) -> None:
    trainings.require_alike(tmp_path, row)
