"""Losses are scikit-learn's, with its weights."""

from typing import Any

import numpy as np
import pytest
import torch
from headstart_server.model.losses import build_loss
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from tests.support.training import feature_of

CPU = torch.device("cpu")
LABELS = ["a"] * 5 + ["b"] * 3 + ["c"] * 2
CODES = np.array([0] * 5 + [1] * 3 + [2] * 2)
LOGITS = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))


def _loss(kind: str, values: list[Any], logits: torch.Tensor, targets: torch.Tensor, **loss: Any) -> float:
    feature = feature_of("out", kind, values, output=True, loss=loss)
    return float(build_loss(feature, CPU)(logits, targets))


def _category(**loss: Any) -> float:
    return _loss("category", LABELS, LOGITS, torch.from_numpy(CODES), **loss)


def test_cross_entropy_is_scikit_learns_log_loss() -> None:
    probabilities = LOGITS.softmax(1).numpy()
    assert _category() == pytest.approx(log_loss(CODES, probabilities), rel=1e-5)
    assert _category(weight=2.5) == pytest.approx(2.5 * log_loss(CODES, probabilities), rel=1e-5)


def test_class_weights_are_scikit_learns_sample_weights() -> None:
    weights = np.array([2.0, 1.0, 0.5])
    expected = log_loss(CODES, LOGITS.softmax(1).numpy(), sample_weight=weights[CODES])
    assert _category(class_weights={"a": 2.0, "c": 0.5}) == pytest.approx(expected, rel=1e-5)


def test_balanced_classes_are_scikit_learns_balanced() -> None:
    expected = log_loss(CODES, LOGITS.softmax(1).numpy(), sample_weight=compute_sample_weight("balanced", CODES))
    assert _category(balance_classes=True) == pytest.approx(expected, rel=1e-5)


def test_label_smoothing_is_torchs() -> None:
    expected = torch.nn.functional.cross_entropy(LOGITS, torch.from_numpy(CODES), label_smoothing=0.2)
    assert _category(label_smoothing=0.2) == pytest.approx(float(expected))


def test_binary_losses_are_scikit_learns() -> None:
    labels, truth = ["1"] * 3 + ["0"] * 7, np.array([1] * 3 + [0] * 7)
    logits = torch.randn(10, generator=torch.Generator().manual_seed(1))
    probabilities = logits.sigmoid().numpy()
    targets = torch.from_numpy(truth).float()
    assert _loss("binary", labels, logits, targets) == pytest.approx(log_loss(truth, probabilities), rel=1e-5)
    by_hand = -(4 * truth * np.log(probabilities) + (1 - truth) * np.log(1 - probabilities)).mean()
    assert _loss("binary", labels, logits, targets, positive_class_weight=4.0) == pytest.approx(by_hand, rel=1e-5)
    zero, one = compute_class_weight("balanced", classes=np.array([0, 1]), y=truth)
    ratio = one / zero
    balanced = -(ratio * truth * np.log(probabilities) + (1 - truth) * np.log(1 - probabilities)).mean()
    assert _loss("binary", labels, logits, targets, balance_classes=True) == pytest.approx(balanced, rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "values", "shape"), [("number", [1.0, 2.0], (6,)), ("vector", ["1 2 3"], (6, 3))], ids=["number", "vector"]
)
def test_regression_losses_are_scikit_learns(kind: str, values: list[Any], shape: tuple[int, ...]) -> None:
    logits, targets = torch.randn(2, *shape, generator=torch.Generator().manual_seed(2))
    plain = targets.numpy(), logits.numpy()
    assert _loss(kind, values, logits, targets) == pytest.approx(mean_squared_error(*plain), rel=1e-5)
    absolute = _loss(kind, values, logits, targets, type="mean_absolute_error")
    assert absolute == pytest.approx(mean_absolute_error(*plain), rel=1e-5)
    difference = np.abs(plain[0] - plain[1])
    huber = np.where(difference < 1, 0.5 * difference**2, difference - 0.5).mean()
    assert _loss(kind, values, logits, targets, type="huber") == pytest.approx(huber, rel=1e-5)


def test_set_loss_is_the_mean_of_its_items_log_losses() -> None:
    logits = torch.randn(8, 2, generator=torch.Generator().manual_seed(3))
    truth = (torch.rand(8, 2, generator=torch.Generator().manual_seed(4)) < 0.5).to(torch.uint8)
    expected = np.mean(
        [log_loss(truth[:, item].numpy(), logits[:, item].sigmoid().numpy(), labels=[0, 1]) for item in range(2)]
    )
    assert _loss("set", ["p q"], logits, truth) == pytest.approx(expected, rel=1e-5)


def test_half_precision_logits_are_judged_in_float32() -> None:
    loss = build_loss(feature_of("out", "category", LABELS, output=True), CPU)
    assert loss(LOGITS.bfloat16(), torch.from_numpy(CODES)).dtype == torch.float32


def test_classes_are_balanced_by_the_rows_that_are_trained_on() -> None:
    """Not by those that a model was trained on before, nor by cells that were not filled yet."""
    output = feature_of("out", "category", ["a"] * 50 + ["b"] * 50, output=True, loss={"balance_classes": True})
    rare = np.array([0] * 95 + [1] * 5)
    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=rare)
    loss = build_loss(output, CPU, rare)
    assert loss.class_weights is not None
    assert loss.class_weights.tolist() == pytest.approx(expected.tolist())
    assert build_loss(output, CPU, np.zeros(9, np.int64)).class_weights is not None  # of a class that no row has
    truth = feature_of("out", "binary", ["1"] * 5 + ["0"] * 5, output=True, loss={"balance_classes": True})
    assert build_loss(truth, CPU, rare.astype(np.float32)).positive_weight == pytest.approx(95 / 5)
    assert build_loss(truth, CPU, np.zeros(9, np.float32)).positive_weight == 1.0
