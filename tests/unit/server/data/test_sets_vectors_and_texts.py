"""Sets, vectors and texts; and what a fitted feature keeps in a bundle."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.features.cells import split_items, written_list
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.features.sets import SetStatistics
from headstart_server.data.features.vector import VectorStatistics
from headstart_server.data.tables import open_table
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import MultiLabelBinarizer

from tests.support.tables import WHERE, cells, fitted

WORDS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=3)


def _transform(feature: FittedFeature, values: list[Any]) -> np.ndarray:
    return feature.transform(cells(values), WHERE)


def _vocabulary(feature: FittedFeature) -> list[str]:
    assert isinstance(feature.statistics, SetStatistics)
    return list(feature.statistics.vocabulary)


@given(st.lists(st.lists(WORDS, max_size=4), min_size=1, max_size=10).filter(any))
def test_sets_are_multi_hot_as_scikit_learns(rows: list[list[str]]) -> None:
    feature = fitted([" ".join(row) for row in rows], "set")
    reference = MultiLabelBinarizer(classes=_vocabulary(feature)).fit_transform(rows)
    assert _transform(feature, [", ".join(row) for row in rows]).tolist() == reference.tolist()


def test_items_of_lists_may_hold_spaces_even_alone() -> None:
    rows = [["science fiction", "drama"], ["science fiction"], ["drama"], [], None]
    feature = fitted(rows, "set")
    assert _vocabulary(feature) == ["drama", "science fiction"]
    assert _transform(feature, rows).tolist() == [[1, 1], [0, 1], [1, 0], [0, 0], [0, 0]]


WRITTEN = {
    "['red', 'blue']": ["red", "blue"],
    '["red", "sky blue"]': ["red", "sky blue"],
    " ['red'] ": ["red"],
    "[]": [],
    "[1, 2.5, None, '']": ["1", "2.5"],
    '["a", null, true]': ["a", "True"],
    "[red, blue]": ["[red", "blue]"],
    "['red'": ["['red'"],
    "[['a'], ['b']]": ["[['a']", "['b']]"],
    "[PAD]": ["[PAD]"],
}
"""Cells by the items that they mean. What is no list stays text."""
_ONES = ",".join(["1"] * 50_000)
LONG = {f"[{_ONES}]": ["1"] * 50_000, f"['a', {_ONES}]": ["['a'", *["1"] * 49_999, "1]"]}
"""As above; of long cells those are lists that are JSON, for Python's parser would take too much memory."""


@pytest.mark.parametrize(("cell", "expected"), [*WRITTEN.items(), *LONG.items()], ids=lambda cell: repr(cell)[:20])
def test_lists_that_are_written_as_text_are_lists(cell: str, expected: list[str]) -> None:
    """Else an item would be another one when it comes first, and `[]` an item."""
    assert split_items(cell, None) == expected
    if written_list(cell) is not None:
        assert split_items(cell, ";") == expected


def test_a_given_separator_is_the_only_one() -> None:
    feature = fitted(["a b| c ", "c||"], "set", separator="|")
    assert _vocabulary(feature) == ["c", "a b"]
    assert split_items("a, b c", None) == ["a", "b", "c"]


def test_unseen_items_are_ignored() -> None:
    assert _transform(fitted(["a b"], "set"), ["a z", "z"]).tolist() == [[1, 0], [0, 0]]


def test_rare_items_are_left_out_and_a_set_of_nothing_is_refused() -> None:
    assert _vocabulary(fitted(["a b", "a"], "set", min_frequency=2)) == ["a"]
    assert _vocabulary(fitted(["a b", "a"], "set", most_common=1)) == ["a"]
    with pytest.raises(InvalidInputError, match="holds no item 3 times"):
        fitted(["a b", "a"], "set", min_frequency=3)
    with pytest.raises(InvalidInputError) as caught:
        fitted([[], None], "set")
    assert caught.value.reason == "ALL_MISSING"


@pytest.mark.parametrize("text", ["1 2.5 -3e1", "1,2.5,-3e1", "[1, 2.5, -3e1]", "(1 2.5 -3e1)", " 1\t2.5  -3e1 "])
def test_vectors_are_read_in_their_usual_forms(text: str) -> None:
    assert _transform(fitted([text], "vector"), [text, None]).tolist() == [[1.0, 2.5, -30.0], [0.0, 0.0, 0.0]]


def test_vectors_of_lists_are_read_exactly() -> None:
    values = [[0.1, 1 / 3, 1e-30], [1.0, 2.0, 3.0]]
    assert (_transform(fitted(values, "vector"), values) == np.array(values, np.float32)).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 2", "holds 2 numbers, expected 3"),
        ("1 2 3 4", "holds 4 numbers, expected 3"),
        ("1 two 3", "not a list of numbers"),
        ("1 inf 3", "not finite"),
        ("1 nan 3", "not finite"),
        ("1 1e39 3", "not finite"),
        ("[]", "holds 0 numbers"),
    ],
)
def test_other_vectors_are_refused_by_row(text: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=f"row 2: .*{words}"):
        _transform(fitted(["1 2 3"], "vector"), ["4 5 6", text])


def test_a_list_with_a_hole_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"row 1: .* holds a missing number"):
        _transform(fitted([[1.0, 2.0, 3.0]], "vector"), [[1.0, None, 3.0]])


def test_the_length_is_that_of_the_first_vector_that_there_is_or_as_given() -> None:
    first = fitted([None, [], [1.0, 2.0]], "vector").statistics
    given_size = fitted([None, "1 2"], "vector", vector_size=5).statistics
    assert isinstance(first, VectorStatistics) and isinstance(given_size, VectorStatistics)
    assert (first.size, given_size.size) == (2, 5)
    with pytest.raises(InvalidInputError) as caught:
        fitted([None, ""], "vector")
    assert caught.value.reason == "ALL_MISSING"


def test_texts_are_cleaned_as_asked() -> None:
    plain = fitted(["Ünïcode Text", None], "text")
    assert plain.texts(cells(["A b", None, ""])).to_pylist() == ["A b", "", ""]
    assert plain.texts(cells([["one", "Two three"], ["alone here"]])).to_pylist() == ["one Two three", "alone here"]
    assert plain.texts(cells([3.0, 2.5])).to_pylist() == ["3", "2.5"]
    folded = fitted(["x"], "text", lowercase=True, fill_value="Nothing")
    assert folded.texts(cells(["ÀB", None])).to_pylist() == ["àb", "nothing"]
    assert folded.texts(cells(["ÀB"])).type == pa.large_string()


def test_a_text_column_without_texts_is_refused() -> None:
    with pytest.raises(InvalidInputError) as caught:
        fitted([None, "", None], "text")
    assert caught.value.reason == "ALL_MISSING"


@pytest.mark.parametrize(
    ("kind", "values", "output"),
    [
        ("number", [1.0, 2.5, None], False),
        ("category", ["a", "b", "b"], False),
        ("category", ["a", "b", "b"], True),
        ("binary", ["yes", "no"], True),
        ("set", ["a b", "c"], True),
        ("vector", ["1 2", "3 4"], True),
    ],
)
def test_a_feature_read_back_from_json_transforms_alike(kind: str, values: list[Any], output: bool) -> None:
    feature = fitted(values, kind, output=output)
    again = FittedFeature.from_json(json.loads(json.dumps(feature.to_json())))
    assert again == feature
    assert again.classes == feature.classes
    assert np.array_equal(_transform(feature, values[:2]), _transform(again, values[:2]))


def test_a_text_feature_read_back_from_json_is_the_same() -> None:
    feature = fitted(["x"], "text", lowercase=True, fill_value="y")
    assert FittedFeature.from_json(json.loads(json.dumps(feature.to_json()))) == feature
    with pytest.raises(TypeError):
        feature.transform(cells(["x"]), WHERE)
    with pytest.raises(TypeError):
        fitted([1.0], "number").texts(cells(["x"]))


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.arrow"])
def test_an_item_that_would_be_taken_for_two_is_refused(tmp_path: Path, name: str) -> None:
    rows = {"tags": [["a"], ["b\x1fc"]]}
    if name.endswith("jsonl"):
        (tmp_path / name).write_text("\n".join(json.dumps({"tags": tags}) for tags in rows["tags"]))
    else:
        with pa.ipc.new_stream(tmp_path / name, pa.table(rows).schema) as writer:
            writer.write_table(pa.table(rows))
    with pytest.raises(InvalidInputError, match=r"'tags'.*holds the character U\+001F"):
        open_table(tmp_path / name, None, tmp_path / "tables", "dataset")
