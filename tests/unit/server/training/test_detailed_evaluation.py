"""What is told of an output's answers: as scikit-learn counts it, or by hand where it has no such thing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from headstart_server.data.parts import Part
from headstart_server.training.detailed_evaluation import detailed, evaluated
from headstart_server.training.output_evaluation import OutputEvaluation
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, multilabel_confusion_matrix, precision_recall_fscore_support
from torch import Tensor

from tests.support.training import column_of, feature_of

ROWS = 400


def evaluation_of(feature: Any, logits: Tensor, targets: Tensor) -> OutputEvaluation:
    rows = torch.arange(len(targets)) + 1_000
    return evaluated(feature, Part.TEST, detailed(feature, logits, targets), targets, rows)


@pytest.fixture
def drawn() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("classes", [3, 60])
def test_categories_are_told_as_scikit_learn_counts_them(classes: int, drawn: np.random.Generator) -> None:
    labels = [f"class {index}" for index in range(classes)]
    feature = feature_of("out", "category", [*labels, *drawn.choice(labels, ROWS)], output=True)
    values = list(drawn.choice(labels, ROWS, p=np.arange(1, classes + 1) / (classes * (classes + 1) / 2)))
    targets, logits = column_of(feature, values), torch.tensor(drawn.normal(0, 2, (ROWS, classes)), dtype=torch.float32)
    logits[torch.arange(ROWS), targets] += 2
    found = evaluation_of(feature, logits, targets)
    said = [feature.classes[index] for index in logits.argmax(1).tolist()]
    told = [item.label for item in found.classes]
    assert sorted(told) == sorted(feature.classes)
    assert [item.rows for item in found.classes] == sorted((item.rows for item in found.classes), reverse=True)
    expected = precision_recall_fscore_support(values, said, labels=told, zero_division=0)
    np.testing.assert_allclose(
        np.transpose([(item.precision, item.recall, item.f1, item.rows) for item in found.classes]), expected
    )
    assert found.confusion_matrix is not None
    kept = told[:50]
    others = [""] if classes > 50 else []
    grouped = [[label if label in kept else "" for label in labels] for labels in (values, said)]
    assert found.confusion_matrix.labels == [*kept, *others]
    size = len(kept) + len(others)
    counts = np.reshape(found.confusion_matrix.counts, (size, size))
    assert counts.tolist() == confusion_matrix(*grouped, labels=[*kept, *others]).tolist()
    losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    order = losses.sort(descending=True, stable=True).indices[:20]
    assert [item.row for item in found.worst_rows] == (order + 1_000).tolist()
    assert [item.loss for item in found.worst_rows] == pytest.approx(losses[order].tolist(), rel=1e-4)
    worst = int(order[0])
    assert (found.worst_rows[0].target, found.worst_rows[0].predicted) == (values[worst], said[worst])
    assert found.worst_rows[0].probability == pytest.approx(float(logits[worst].softmax(0).max()), rel=1e-4)


@pytest.mark.parametrize("threshold", [0.5, 0.2])
def test_truth_values_are_told_at_their_threshold_and_calibration_as_scikit_learn_bins_it(
    threshold: float, drawn: np.random.Generator
) -> None:
    feature = feature_of("out", "binary", ["no", "yes"], output=True, decoder={"threshold": threshold})
    logits = torch.tensor(drawn.normal(0, 2, ROWS), dtype=torch.float32)
    truths = (torch.tensor(drawn.random(ROWS)) < logits.sigmoid()).float()
    found = evaluation_of(feature, logits, truths)
    said = (logits.sigmoid() > threshold).long()
    assert found.confusion_matrix is not None
    order = [["no", "yes"].index(label) for label in found.confusion_matrix.labels]
    expected = confusion_matrix(truths, said, labels=order)
    assert np.reshape(found.confusion_matrix.counts, (2, 2)).tolist() == expected.tolist()
    accuracies, means = calibration_curve(truths, logits.sigmoid(), n_bins=10)
    filled = [item for item in found.calibration if item.predictions]
    np.testing.assert_allclose([item.accuracy for item in filled], accuracies)
    np.testing.assert_allclose([item.mean_probability for item in filled], means, rtol=1e-5)
    distances = np.abs(accuracies - means) * [item.predictions for item in filled]
    assert found.calibration_error == pytest.approx(distances.sum() / ROWS)


def test_bounds_of_bins_belong_below_them() -> None:
    feature = feature_of("out", "binary", ["no", "yes"], output=True)
    found = evaluation_of(feature, torch.tensor([0.0, -100.0, 100.0]), torch.tensor([1.0, 0.0, 1.0]))
    assert [index for index, item in enumerate(found.calibration) if item.predictions] == [0, 4, 9]


def test_sets_are_told_item_by_item(drawn: np.random.Generator) -> None:
    feature = feature_of("out", "set", ["a b", "b c", "a c"], output=True)
    truths = torch.tensor(drawn.random((ROWS, 3)) < [0.2, 0.5, 0.7])
    logits = torch.tensor(drawn.normal(0, 1, (ROWS, 3)), dtype=torch.float32) + truths.float()
    found = evaluation_of(feature, logits, truths.float())
    assert found.confusion_matrix is None
    counts = multilabel_confusion_matrix(truths, logits.sigmoid() > 0.5)
    by_label = dict(zip(feature.classes, counts, strict=True))
    for item in found.classes:
        (_, wrong), (missed, right) = by_label[item.label]
        assert (item.rows, item.predicted_rows) == (missed + right, wrong + right)
        assert item.f1 == pytest.approx(2 * right / (2 * right + wrong + missed))
    place = found.worst_rows[0].row - 1_000
    assert found.worst_rows[0].target == ", ".join(
        label for label, true in zip(feature.classes, truths[place], strict=True) if true
    )
    assert sum(item.predictions for item in found.calibration) == 3 * ROWS


def test_numbers_are_told_in_the_units_of_the_data() -> None:
    feature = feature_of("out", "number", [0.0, 1_000.0, 2_000.0], output=True)
    targets = column_of(feature, [100.0, 200.0, 300.0])
    logits = column_of(feature, [110.0, 150.0, 300.0])
    found = evaluation_of(feature, logits, targets)
    assert found.number is not None
    assert found.number.mean_error == pytest.approx(-40 / 3, rel=1e-4)
    assert found.number.predictions == pytest.approx([110, 150, 300], rel=1e-4)
    worst = [(item.row, item.target, item.predicted) for item in found.worst_rows]
    assert worst == [(1_001, "200", "150"), (1_000, "100", "110"), (1_002, "300", "300")]


def test_vectors_are_told_by_their_first_numbers() -> None:
    feature = feature_of("out", "vector", [" ".join("1" for _ in range(9))], output=True)
    found = evaluation_of(feature, torch.zeros(1, 9), torch.ones(1, 9))
    assert found.worst_rows[0].loss == 1
    assert found.worst_rows[0].target == "[1, 1, 1, 1, 1, 1, 1, 1, ...]"


def test_of_very_many_classes_the_most_frequent_are_told() -> None:
    labels = [f"class {index:05}" for index in range(1_200)]
    feature = feature_of("out", "category", labels, output=True)
    targets = torch.arange(1_200)
    found = evaluation_of(feature, torch.nn.functional.one_hot(targets).float() * 20, targets)
    assert (len(found.classes), found.class_count, found.calibration) == (1_000, 1_200, [])
    assert found.confusion_matrix is not None
    assert len(found.confusion_matrix.labels) == 51
