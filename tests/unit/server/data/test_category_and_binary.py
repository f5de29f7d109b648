"""Category and binary features: vocabularies of training rows, words for true and false, unseen labels by row."""

from typing import Any

import numpy as np
import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.features.binary import BinaryStatistics
from headstart_server.data.features.category import UNKNOWN, CategoryStatistics
from headstart_server.data.features.fitted import FittedFeature
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import LabelEncoder

from tests.support.tables import WHERE, cells, fitted

LABELS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=3), min_size=2, max_size=30
).filter(lambda items: len(set(items)) > 1)


def _transform(feature: FittedFeature, values: list[Any]) -> list[Any]:
    found: list[Any] = feature.transform(cells(values), WHERE).tolist()
    return found


@given(LABELS)
def test_output_labels_are_numbered_as_scikit_learn_numbers_them(labels: list[str]) -> None:
    feature = fitted([*labels, "x"], "category", output=True)
    if all(_number(label) is None for label in labels):
        reference = LabelEncoder().fit([*labels, "x"])
        assert feature.classes == reference.classes_.tolist()
        assert _transform(feature, labels) == reference.transform(labels).tolist()
    assert [feature.classes[index] for index in _transform(feature, labels)] == labels


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def test_numeric_labels_are_sorted_as_numbers() -> None:
    assert fitted(["10", "9", "1"], "category", output=True).classes == ["1", "9", "10"]
    assert fitted([10.0, 9.0, 1.5], "category", output=True).classes == ["1.5", "9", "10"]


@pytest.mark.parametrize("labels", [["nan", "2", "1"], ["1", "1.0", "01"]])
def test_the_order_of_labels_does_not_depend_on_that_of_rows(labels: list[str]) -> None:
    forward = fitted(labels, "category", output=True).classes
    assert forward == fitted(labels[::-1], "category", output=True).classes
    assert sorted(forward) == sorted(labels)


def test_an_output_counts_its_labels() -> None:
    statistics = fitted(["b", "a", "b", None], "category", output=True).statistics
    assert isinstance(statistics, CategoryStatistics)
    assert dict(zip(statistics.vocabulary, statistics.counts, strict=True)) == {"a": 1, "b": 2}


@pytest.mark.parametrize("kind", ["category", "binary"])
def test_an_output_of_one_class_is_refused(kind: str) -> None:
    with pytest.raises(InvalidInputError, match="one class only, 'yes'") as caught:
        fitted(["yes", "yes", None], kind, output=True)
    assert caught.value.reason == "ONE_CLASS_ONLY"


@pytest.mark.parametrize("kind", ["category", "binary"])
def test_a_column_without_values_is_refused(kind: str) -> None:
    for output in (False, True):
        with pytest.raises(InvalidInputError) as caught:
            fitted([None, ""], kind, output=output)
        assert caught.value.reason == "ALL_MISSING"


def test_a_label_unseen_in_training_is_refused_by_row_and_name() -> None:
    feature = fitted(["a", "b"], "category", output=True)
    with pytest.raises(InvalidInputError, match="row 3: label 'c' does not occur in the training rows") as caught:
        _transform(feature, ["a", "b", "c"])
    assert caught.value.reason == "UNSEEN_LABEL"
    with pytest.raises(InvalidInputError, match="row 1: the label is missing"):
        _transform(feature, [None])


def test_unknown_and_missing_input_values_share_the_first_index() -> None:
    feature = fitted(["a", "b", "b"], "category")
    assert _transform(feature, ["b", "a", "zzz", None]) == [1, 2, 0, 0]


def test_data_that_holds_the_word_unknown_does_not_shift_indices() -> None:
    feature = fitted([UNKNOWN, UNKNOWN, "a"], "category")
    assert isinstance(feature.statistics, CategoryStatistics)
    assert feature.statistics.vocabulary == (UNKNOWN, "a")
    assert _transform(feature, [UNKNOWN, "a", "b"]) == [0, 1, 0]


def test_rare_values_become_unknown() -> None:
    values = ["a"] * 3 + ["b"] * 2 + ["c"]
    assert _transform(fitted(values, "category", min_frequency=2), ["a", "b", "c"]) == [1, 2, 0]
    assert _transform(fitted(values, "category", most_common=1), ["a", "b", "c"]) == [1, 0, 0]


def test_missing_categories_are_filled_as_asked() -> None:
    values = ["a", "b", "b"]
    assert _transform(fitted(values, "category", missing_value_strategy="fill_with_mode"), [None]) == [1]
    const = fitted(values, "category", missing_value_strategy="fill_with_const", fill_value="a")
    assert _transform(const, [None]) == [2]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["true", "false", "TRUE"], [1, 0, 1]),
        (["yes", "No", " y "], [1, 0, 1]),
        (["1", "0", "1"], [1, 0, 1]),
        ([1, 0, 1], [1, 0, 1]),
        ([1.0, 0.0, None], [1, 0, 0]),
        ([True, False, None], [1, 0, 0]),
        (["spam", "ham", "spam"], [1, 0, 1]),
        (["on", "off", "0"], [1, 0, 0]),
    ],
)
def test_truth_is_recognised(values: list[Any], expected: list[int]) -> None:
    assert _transform(fitted(values, "binary", output=True), values) == expected


def test_the_true_label_can_be_named() -> None:
    feature = fitted(["no", "yes", "no"], "binary", output=True, fallback_true_label="no")
    assert feature.classes == ["yes", "no"]
    assert _transform(feature, ["no", "yes"]) == [1, 0]
    with pytest.raises(InvalidInputError, match="never holds fallback_true_label 'maybe'"):
        fitted(["no", "yes"], "binary", fallback_true_label="maybe")


@pytest.mark.parametrize(("values", "stray"), [(["spam", "ham"], "yes"), (["on", "x"], "ON"), (["spam", "ham"], "1")])
def test_words_for_truth_mean_nothing_where_the_labels_are_others(values: list[str], stray: str) -> None:
    with pytest.raises(InvalidInputError, match="row 1"):
        _transform(fitted(values, "binary", output=True), [stray])


def test_a_named_true_label_is_not_overruled_by_usual_words() -> None:
    feature = fitted(["no", "yes"], "binary", output=True, fallback_true_label="no")
    with pytest.raises(InvalidInputError):
        _transform(feature, ["No"])


def test_three_values_are_no_truth() -> None:
    with pytest.raises(InvalidInputError, match=r"holds 3 values .*use type category"):
        fitted(["a", "b", "c"], "binary")


def test_another_value_is_refused_by_row() -> None:
    with pytest.raises(InvalidInputError, match="row 2: 'maybe' is neither 'yes' or 'no'"):
        _transform(fitted(["yes", "no"], "binary"), ["yes", "maybe"])


def test_the_positive_rate_is_that_of_training_rows() -> None:
    statistics = fitted(["1", "0", "0", "0", None], "binary", output=True).statistics
    assert isinstance(statistics, BinaryStatistics)
    assert statistics.positive_rate == 0.25


@pytest.mark.parametrize(
    ("strategy", "fill_value", "expected"),
    [
        (None, None, 0.0),
        ("fill_with_false", None, 0.0),
        ("fill_with_mode", None, 1.0),
        ("fill_with_const", "Yes", 1.0),
        ("fill_with_const", "no", 0.0),
    ],
)
def test_missing_truth_is_filled_as_asked(strategy: str | None, fill_value: str | None, expected: float) -> None:
    feature = fitted(["1", "1", "0"], "binary", missing_value_strategy=strategy, fill_value=fill_value)
    assert _transform(feature, [None]) == [expected]
    assert feature.transform(cells([None]), WHERE).dtype == np.float32


def test_a_constant_fills_in_a_label_of_the_data() -> None:
    feature = fitted(["spam", "spam", "ham"], "binary", missing_value_strategy="fill_with_const", fill_value="spam")
    assert feature.transform(cells(["ham", None]), WHERE).tolist() == [0.0, 1.0]


def test_a_constant_that_is_no_label_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="fill_value 'yes', which is neither 'spam' nor 'ham'"):
        fitted(["spam", "spam", "ham"], "binary", missing_value_strategy="fill_with_const", fill_value="yes")


def test_a_constant_of_its_own_is_a_category_where_cells_are_missing() -> None:
    values = ["a", None, "b", None, None]
    const: dict[str, Any] = {"missing_value_strategy": "fill_with_const", "fill_value": "none given"}
    feature = fitted(values, "category", **const)
    assert feature.statistics.vocabulary == (UNKNOWN, "none given", "a", "b")  # type: ignore[union-attr]
    assert _transform(feature, [None, "c"]) == [1, 0]
    output = fitted(values, "category", output=True, **const)
    assert [output.classes[index] for index in _transform(output, values)] == [
        "a",
        "none given",
        "b",
        "none given",
        "none given",
    ]


def test_a_frequency_that_no_value_has_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="holds no value 5 times; lower min_frequency"):
        fitted(["a", "b", "b"], "category", min_frequency=5)
