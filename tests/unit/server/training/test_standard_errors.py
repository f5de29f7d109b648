"""Standard errors of metrics, held to what resampling says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from headstart_server.training.metrics import metrics_of
from headstart_server.training.standard_errors import of_errors, of_share

from tests.support.training import feature_of

ROWS = 400


def test_of_a_share_of_rows() -> None:
    assert of_share("accuracy", 0.8, 100) == pytest.approx(0.04)
    assert of_share("accuracy", 1.0, 100) == 0.0
    assert of_share("f1", 0.8, 100) is None
    assert of_share("accuracy", 0.8, 0) is None


@pytest.mark.parametrize(("kind", "shape"), [("number", (ROWS,)), ("vector", (ROWS, 3))])
def test_of_errors_they_are_what_other_draws_of_the_rows_differ_by(kind: str, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(4)
    targets = torch.randn(shape, generator=generator)
    answers = targets + 0.3 * torch.randn(shape, generator=generator)
    feature = feature_of("y", kind, targets.tolist(), output=True)
    found, draws = of_errors(feature, answers, targets), list[dict[str, float]]()
    rng = np.random.default_rng(5)
    for _ in range(400):
        rows = torch.from_numpy(rng.integers(0, ROWS, ROWS))
        draws.append(metrics_of(feature, answers[rows], targets[rows]))
    assert set(found) == {name for name in draws[0] if name != "r2"}
    for name, error in found.items():
        assert error == pytest.approx(float(np.std([draw[name] for draw in draws])), rel=0.15), name


def test_what_has_none_of_its_own_for_each_row_has_none() -> None:
    feature = feature_of("y", "number", [1.0, 2.0], output=True)
    assert of_errors(feature, torch.tensor([1.0]), torch.tensor([1.0])) == {}
    found = of_errors(feature, torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]))
    assert found["mean_squared_error"] == 0.0 and "root_mean_squared_error" not in found
    assert all(math.isfinite(error) for error in found.values())
