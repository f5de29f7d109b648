"""Metrics are torchmetrics' and scikit-learn's, in the data's units, over a whole split at once."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics.classification as reference
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.model.losses import Loss
from headstart_server.model.world import World
from headstart_server.training.calibration import fit_temperature, rows_to_fit, temperature_that_helps
from headstart_server.training.metric_names import metric_names, smaller_is_better
from headstart_server.training.metrics import metrics_of
from headstart_server.training.outputs import LossSums, condensed
from scipy.optimize import minimize_scalar
from sklearn import metrics as sklearn_metrics

from tests.support.training import feature_of

GENERATOR = np.random.default_rng(0)


def _metrics_of(feature: FittedFeature, logits: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
    return metrics_of(feature, condensed(feature, logits), targets)


def _category(classes: int = 4, **changes: Any) -> FittedFeature:
    return feature_of("out", "category", [f"c{index}" for index in range(classes)], output=True, **changes)


@pytest.mark.parametrize(("classes", "rows", "top_k"), [(4, 50, None), (2, 7, 1), (6, 200, 2), (3, 1, 5)])
def test_category_metrics_are_torchmetrics(classes: int, rows: int, top_k: int | None) -> None:
    logits = torch.randn(rows, classes, generator=torch.Generator().manual_seed(1))
    targets = torch.randint(classes, (rows,), generator=torch.Generator().manual_seed(2))
    found = _metrics_of(_category(classes, **({} if top_k is None else {"top_k": top_k})), logits, targets)
    top = min(top_k or 3, classes)
    expected = {
        "accuracy": reference.MulticlassAccuracy(classes, average="micro")(logits, targets),
        "f1_macro": reference.MulticlassF1Score(classes, average="macro")(logits, targets),
        "hits_at_k": reference.MulticlassAccuracy(classes, average="micro", top_k=top)(logits, targets),
    }
    assert found == pytest.approx({name: float(value) for name, value in expected.items()}, abs=1e-6)
    truth, predicted = targets.numpy(), logits.argmax(1).numpy()
    assert found["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(truth, predicted))


@pytest.mark.parametrize("threshold", [None, 0.2, 0.8])
def test_binary_metrics_are_scikit_learns(threshold: float | None) -> None:
    feature = feature_of("out", "binary", ["0", "1"], output=True, decoder={"threshold": threshold})
    logits = torch.randn(300, generator=torch.Generator().manual_seed(3))
    truth = (torch.rand(300, generator=torch.Generator().manual_seed(4)) < 0.3).float()
    found = _metrics_of(feature, logits, truth)
    scores, labels = logits.sigmoid().numpy(), truth.numpy()
    predicted = scores > (threshold or 0.5)
    assert found == pytest.approx(
        {
            "accuracy": sklearn_metrics.accuracy_score(labels, predicted),
            "precision": sklearn_metrics.precision_score(labels, predicted),
            "recall": sklearn_metrics.recall_score(labels, predicted),
            "f1": sklearn_metrics.f1_score(labels, predicted),
            "roc_auc": sklearn_metrics.roc_auc_score(labels, scores),
        },
        abs=1e-6,
    )


@pytest.mark.parametrize("truth", [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
def test_a_split_of_one_class_has_no_area_under_its_curve(truth: list[float]) -> None:
    feature = feature_of("out", "binary", ["0", "1"], output=True)
    found = _metrics_of(feature, torch.tensor([0.1, -0.2, 3.0]), torch.tensor(truth))
    assert "roc_auc" not in found
    assert all(math.isfinite(value) for value in found.values())


@pytest.mark.parametrize("normalization", ["zscore", "log1p", "minmax", "none"])
def test_number_metrics_are_in_the_datas_units(normalization: str) -> None:
    values = GENERATOR.gamma(2.0, 50.0, 200)
    feature = feature_of("out", "number", values.tolist(), output=True, preprocessing={"normalization": normalization})
    from tests.support.training import column_of

    targets = column_of(feature, values.tolist())
    logits = targets + 0.1 * torch.randn(200, generator=torch.Generator().manual_seed(5))
    found = _metrics_of(feature, logits, targets)
    from headstart_server.data.features.number import NumberStatistics, restore

    assert isinstance(feature.statistics, NumberStatistics)
    predicted = restore(logits.numpy(), feature.statistics)
    squared = sklearn_metrics.mean_squared_error(values, predicted)
    assert found == pytest.approx(
        {
            "mean_squared_error": squared,
            "root_mean_squared_error": math.sqrt(squared),
            "mean_absolute_error": sklearn_metrics.mean_absolute_error(values, predicted),
            "r2": sklearn_metrics.r2_score(values, predicted),
        },
        rel=1e-4,
    )


@pytest.mark.parametrize("truth", [[0.1], [0.1, 0.1, 0.1], [-1e6, -1e6]])
def test_targets_that_are_all_the_same_have_no_share_of_variance(truth: list[float]) -> None:
    feature = feature_of("out", "number", [1.0, 2.0], output=True)
    found = _metrics_of(feature, torch.linspace(0, 1, len(truth)), torch.tensor(truth))
    assert "r2" not in found
    assert all(math.isfinite(value) for value in found.values())


def test_what_is_kept_of_a_category_does_not_grow_with_its_classes() -> None:
    logits = torch.randn(3, 5_000, generator=torch.Generator().manual_seed(1))
    kept = condensed(_category(5_000), logits)
    assert kept.shape == (3, 4)
    assert kept[:, 0].tolist() == logits.argmax(1).tolist()


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.0, 5.0]])
def test_a_loss_in_batches_is_the_loss(weights: list[float] | None) -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(50, 4), torch.randint(0, 4, (50,))
    classes = None if weights is None else torch.tensor(weights)
    loss = Loss(lambda some, truth: torch.nn.functional.cross_entropy(some, truth, weight=classes), classes)
    found = LossSums({"out": loss}, World())
    for some, truth in zip(torch.split(logits, 7), torch.split(targets, 7), strict=True):
        found.add({"out": some}, {"out": truth})
    assert found.means() == {"out": pytest.approx(float(loss(logits, targets)), rel=1e-6)}


def test_of_very_many_classes_a_part_of_the_rows_is_calibrated() -> None:
    assert rows_to_fit(2) > 1_000_000
    assert rows_to_fit(15_000) * 15_000 <= 10_000_000
    assert rows_to_fit(1_000_000_000) >= 20


@pytest.mark.parametrize("labels", [1, 2, 5])
def test_set_metrics_are_torchmetrics(labels: int) -> None:
    items = [f"i{index}" for index in range(labels)]
    feature = feature_of("out", "set", [" ".join(items)], output=True, decoder={"threshold": 0.4})
    logits = torch.randn(60, labels, generator=torch.Generator().manual_seed(6))
    truth = (torch.rand(60, labels, generator=torch.Generator().manual_seed(7)) < 0.4).to(torch.uint8)
    found = _metrics_of(feature, logits, truth)
    predicted = (logits.sigmoid() > 0.4).numpy().astype(int)
    assert found["jaccard"] == pytest.approx(
        sklearn_metrics.jaccard_score(truth.numpy().ravel(), predicted.ravel()), abs=1e-6
    )
    assert found["f1_macro"] == pytest.approx(
        np.mean([sklearn_metrics.f1_score(truth[:, item].numpy(), predicted[:, item]) for item in range(labels)]),
        abs=1e-6,
    )


def test_vector_metrics_are_scikit_learns() -> None:
    feature = feature_of("out", "vector", ["1 2 3"], output=True)
    logits, truth = torch.randn(2, 20, 3, generator=torch.Generator().manual_seed(8))
    assert _metrics_of(feature, logits, truth) == pytest.approx(
        {
            "mean_squared_error": sklearn_metrics.mean_squared_error(truth.numpy(), logits.numpy()),
            "mean_absolute_error": sklearn_metrics.mean_absolute_error(truth.numpy(), logits.numpy()),
        },
        rel=1e-5,
    )


def test_an_empty_split_has_no_metrics() -> None:
    assert _metrics_of(_category(), torch.empty(0, 4), torch.empty(0, dtype=torch.int64)) == {}


def test_the_names_promised_are_the_names_given_and_have_a_direction() -> None:
    for kind, values, logits, targets in (
        ("category", ["a", "b"], torch.eye(2), torch.tensor([0, 1])),
        ("binary", ["0", "1"], torch.tensor([0.1, -0.1]), torch.tensor([0.0, 1.0])),
        ("number", [1.0, 2.0], torch.tensor([0.1, -0.1]), torch.tensor([0.0, 1.0])),
        ("set", ["a b"], torch.eye(2), torch.eye(2)),
        ("vector", ["1 2"], torch.eye(2), torch.eye(2)),
    ):
        found = _metrics_of(feature_of("out", kind, values, output=True), logits, targets)
        assert {"loss", *found} == set(metric_names(kind))
    assert smaller_is_better("loss") and smaller_is_better("out.mean_squared_error")
    assert not smaller_is_better("out.accuracy") and not smaller_is_better("out.r2")


def _smoothed_loss(logits: np.ndarray, targets: np.ndarray, temperature: float) -> float:
    """Negative log-likelihood of smoothed targets, in plain numpy."""
    rows, classes = logits.shape
    scaled = logits / temperature
    log = scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True)
    smoothing = classes / (rows + classes)
    truth = np.eye(classes)[targets] * (1 - smoothing) + smoothing / classes
    return float(-(truth * log).sum(1).mean())


@pytest.mark.parametrize("scale", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_the_temperature_is_the_minimum_that_scipy_finds(scale: float, classes: int) -> None:
    generator = np.random.default_rng(classes)
    honest = generator.normal(size=(500, classes)) * 2
    probabilities = np.exp(honest) / np.exp(honest).sum(1, keepdims=True)
    targets = np.array([generator.choice(classes, p=row) for row in probabilities])
    logits = honest * scale
    best = minimize_scalar(
        lambda exponent: _smoothed_loss(logits, targets, math.exp(exponent)), bounds=(-3, 3), method="bounded"
    )
    found = fit_temperature(torch.from_numpy(logits), torch.from_numpy(targets))
    assert found == pytest.approx(math.exp(best.x), rel=5e-3)
    assert found == pytest.approx(scale, rel=0.2)
    if classes == 2:
        binary = fit_temperature(torch.from_numpy(logits[:, 1] - logits[:, 0]), torch.from_numpy(targets).float())
        assert binary == pytest.approx(found, rel=5e-3)


def test_few_rows_are_not_calibrated_and_perfect_ones_stay_finite() -> None:
    assert fit_temperature(torch.eye(5), torch.arange(5)) == 1.0
    perfect = fit_temperature(torch.eye(20) * 100, torch.arange(20))
    assert 0.05 <= perfect <= 20


def _judged(classes: int, rows: int, seed: int, sharpness: float) -> tuple[float, float]:
    """Mean log loss of fresh rows, by scikit-learn: as the model says, and at the temperature fitted to few others."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, rows + 2_000)
    evidence = generator.normal(size=(len(truth), classes))
    evidence[np.arange(len(truth)), truth] += 2.5
    logits = evidence * 2.5 * sharpness  # at sharpness 1 these are the true posterior's
    temperature = temperature_that_helps(torch.from_numpy(logits[:rows]), torch.from_numpy(truth[:rows]))
    found = [
        sklearn_metrics.log_loss(
            truth[rows:], torch.from_numpy(logits[rows:] / scale).softmax(1).numpy(), labels=range(classes)
        )
        for scale in (1.0, temperature)
    ]
    return found[0], found[1]


@pytest.mark.parametrize(("classes", "rows"), [(50, 100), (10, 70), (3, 40)])
def test_few_rows_of_many_classes_make_probabilities_no_worse(classes: int, rows: int) -> None:
    pairs = [_judged(classes, rows, seed, 1.0) for seed in range(12)]
    assert np.mean([after - before for before, after in pairs]) < 0.02


def test_an_overconfident_model_is_calibrated_where_rows_say_so() -> None:
    pairs = [_judged(10, 400, seed, 4.0) for seed in range(5)]
    assert all(after < before - 0.2 for before, after in pairs)


def test_macro_f1_is_scikit_learns_and_takes_memory_by_class() -> None:
    generator = np.random.default_rng(3)
    labels, predicted = generator.integers(0, 60_000, (2, 500))
    labels[:200] = predicted[:200]
    logits = torch.zeros(500, 60_000)
    logits[torch.arange(500), torch.from_numpy(predicted)] = 1.0
    found = _metrics_of(_category(60_000), logits, torch.from_numpy(labels))["f1_macro"]  # 29 GB as a matrix
    assert found == pytest.approx(sklearn_metrics.f1_score(labels, predicted, average="macro"))
