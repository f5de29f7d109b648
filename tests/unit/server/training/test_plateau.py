"""Reductions on a plateau are torch's ReduceLROnPlateau's, at most as many as were asked for."""

import math
from typing import Literal

import pytest
import torch
from headstart_server.training.plateau import Plateau, PlateauRule
from headstart_server.training.reports import EpochReport
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import ReduceLROnPlateau

from tests.support.training import Run, settings_of

VALUES = st.lists(st.sampled_from([0.1, 0.5, 0.50001, 0.6, 0.9, 1.0, 1.00005]), min_size=1, max_size=40)


def _report(**metrics: float) -> EpochReport:
    return EpochReport(epoch=1, step=1, train=metrics, validation={})


@given(VALUES, st.integers(0, 3), st.sampled_from(["loss", "out.accuracy"]))
def test_reductions_are_those_of_torch(values: list[float], patience: int, metric: str) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    mode: Literal["min", "max"] = "min" if metric == "loss" else "max"
    scheduler = ReduceLROnPlateau(optimizer, mode=mode, factor=0.5, patience=patience, eps=0.0)
    rule, plateau = PlateauRule(99, patience, 0.5, metric, "training"), Plateau()
    for value in values:
        scheduler.step(value)
        plateau = plateau.after(_report(**{metric: value}), rule)
        assert plateau.scale(rule) == optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize("metric", ["loss", "out.r2"])
def test_a_value_below_zero_that_stays_is_a_plateau(metric: str) -> None:
    rule, plateau = PlateauRule(9, 0, 0.5, metric, "training"), Plateau()
    for value in (-2.0, -2.0, -2.0):
        plateau = plateau.after(_report(**{metric: value}), rule)
    assert plateau.reductions == 2


def test_there_are_no_more_than_asked_for() -> None:
    rule, plateau = PlateauRule(2, 0, 0.1, "loss", "training"), Plateau()
    for _ in range(9):
        plateau = plateau.after(_report(loss=1.0), rule)
    assert plateau.reductions == 2 and plateau.scale(rule) == pytest.approx(0.01)


@pytest.mark.parametrize("report", [_report(), _report(loss=math.nan)])
def test_an_undefined_metric_is_no_plateau(report: EpochReport) -> None:
    rule, plateau = PlateauRule(2, 0, 0.1, "loss", "training"), Plateau(best=1.0)
    assert plateau.after(report, rule) == plateau


def test_the_split_asked_for_is_listened_to() -> None:
    report = EpochReport(1, 1, {"loss": 1.0}, {"loss": 2.0}, {"loss": 3.0})
    values = [PlateauRule(1, 0, 0.1, "loss", split).value(report) for split in ("training", "validation", "test")]
    assert values == [1.0, 2.0, 3.0]


def test_a_metric_that_no_row_defines_is_told_once() -> None:
    run = Run(settings_of(plateau=PlateauRule(1, 0, 0.1, "out.roc_auc", "validation")))
    run.loop().run()
    assert run.reporter.warnings == ["PLATEAU_METRIC_UNDEFINED"]
    assert len({report.learning_rate for report in run.reporter.epochs}) == 3
