"""The best epoch: by the metric, among equals by the loss; what is not defined is never better."""

from __future__ import annotations

import math

import pytest
from headstart_server.training.reports import EpochReport
from headstart_server.training.selection import is_better, why_undefined


def _epoch(loss: float, **metrics: float) -> EpochReport:
    validation = {"loss": loss, **{f"y.{name}": value for name, value in metrics.items()}}
    return EpochReport(epoch=1, step=1, train={}, validation=validation, test={}, learning_rate=0.1)


@pytest.mark.parametrize(
    ("found", "best", "better"),
    [
        (_epoch(0.5, accuracy=0.9), _epoch(0.4, accuracy=0.8), True),
        (_epoch(0.3, accuracy=0.8), _epoch(0.4, accuracy=0.9), False),
        (_epoch(0.3, accuracy=0.9), _epoch(0.4, accuracy=0.9), True),
        (_epoch(0.4, accuracy=0.9), _epoch(0.4, accuracy=0.9), False),
        (_epoch(0.5, accuracy=0.9), _epoch(0.4, accuracy=0.9), False),
        (_epoch(0.1), _epoch(0.4, accuracy=0.1), False),
        (_epoch(0.1, accuracy=math.nan), _epoch(0.4, accuracy=0.1), False),
        (_epoch(0.9, accuracy=0.1), _epoch(0.4), True),
        (_epoch(0.3), _epoch(0.4), True),
        (_epoch(0.5), _epoch(0.4), False),
        (_epoch(math.nan), _epoch(math.nan), False),
        (_epoch(0.3), _epoch(math.nan), True),
    ],
)
def test_the_metric_decides_and_among_equals_the_loss(found: EpochReport, best: EpochReport, better: bool) -> None:
    assert is_better(found, best, "y.accuracy") is better


def test_the_first_epoch_is_the_best_so_far() -> None:
    assert is_better(_epoch(math.nan), None, "loss")


def test_less_of_a_loss_is_better() -> None:
    assert is_better(_epoch(0.3), _epoch(0.4), "loss")
    assert not is_better(_epoch(0.5), _epoch(0.4), "loss")


def test_an_undefined_metric_is_named() -> None:
    told = why_undefined(_epoch(0.3), "y.roc_auc")
    assert told is not None and "'y.roc_auc' is not defined" in told and "validation loss instead" in told
    assert why_undefined(_epoch(0.3, roc_auc=0.5), "y.roc_auc") is None


def test_a_training_that_diverges_is_not_told_to_validate_on_more_rows() -> None:
    assert why_undefined(_epoch(math.nan), "loss") is None
    assert why_undefined(_epoch(math.nan, roc_auc=math.nan), "y.roc_auc") is None
