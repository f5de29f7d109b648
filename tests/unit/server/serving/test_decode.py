"""Model outputs in the data's own words."""

from __future__ import annotations

import numpy as np
import pytest
from headstart_server.data.features.fitted import fit_feature
from headstart_server.serving.decode import decode
from headstart_server.spec.model import FeatureSpec

from tests.support.tables import WHERE, chunks, fitted


def test_a_category_is_its_likeliest_label_with_every_probability() -> None:
    feature = fitted(["red", "green", "blue", "red"], "category", output=True)
    output = np.eye(len(feature.classes), dtype=np.float32)[[2, 0]]
    decoded = decode(feature, output)
    assert decoded.values == [feature.classes[2], feature.classes[0]]
    assert set(decoded.classes) == {"red", "green", "blue"}
    assert decoded.probabilities is output


def test_a_binary_is_a_label_of_the_data_with_both_probabilities() -> None:
    feature = fitted(["no", "yes", "yes"], "binary", output=True)
    decoded = decode(feature, np.array([0.75, 0.25], np.float32))
    assert decoded.values == ["yes", "no"]
    assert decoded.classes == ["no", "yes"]
    assert decoded.probabilities is not None
    assert decoded.probabilities.tolist() == [[0.25, 0.75], [0.75, 0.25]]


@pytest.mark.parametrize(("threshold", "expected"), [(None, "no no yes"), (0.25, "no yes yes")])
def test_a_threshold_is_the_least_that_is_not_yet_true(threshold: float | None, expected: str) -> None:
    decoder = {} if threshold is None else {"threshold": threshold}
    spec = FeatureSpec.model_validate({"name": "column", "type": "binary", "decoder": decoder})
    feature = fit_feature(spec, chunks(["no", "yes"]), WHERE, output=True)
    assert decode(feature, np.array([0.25, 0.5, 0.75], np.float32)).values == expected.split()


@pytest.mark.parametrize("spelled", [["false", "true"], ["False", "True"], [False, True]])
def test_a_binary_of_truth_values_is_answered_with_truth_values(spelled: list[object]) -> None:
    feature = fitted(spelled, "binary", output=True)
    assert decode(feature, np.array([0.75, 0.25], np.float32)).values == [True, False]


def test_a_set_holds_the_items_that_are_likelier_than_not() -> None:
    feature = fitted(["a b", "b c", "a"], "set", output=True)
    classes = feature.classes
    output = np.array([[index == classes.index("b") or index == classes.index("c") for index in range(len(classes))]])
    decoded = decode(feature, np.concatenate([output * 0.9, output * 0.1]).astype(np.float32))
    assert [sorted(items) for items in decoded.values] == [["b", "c"], []]


@pytest.mark.parametrize("normalization", ["zscore", "minmax", "none"])
def test_a_number_is_in_the_datas_own_units(normalization: str) -> None:
    values = [10.0, 20.0, 60.0]
    feature = fitted(values, "number", output=True, normalization=normalization)
    output = np.array(
        {
            "zscore": (np.array(values) - np.mean(values)) / np.std(values),
            "minmax": (np.array(values) - 10) / 50,
            "none": values,
        }[normalization],
        np.float32,
    )
    decoded = decode(feature, output)
    assert decoded.values == pytest.approx(values, rel=1e-4)
    assert (decoded.classes, decoded.probabilities) == ([], None)


def test_a_vector_is_what_the_model_says() -> None:
    decoded = decode(fitted(["1 2", "3 4"], "vector", output=True), np.array([[1.5, -2.0]], np.float32))
    assert (decoded.values, decoded.probabilities) == ([[1.5, -2.0]], None)
