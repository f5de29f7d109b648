"""Preparing a job's rows: fitted on training rows alone, every mistake found before anything is encoded."""

import difflib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.dataset import PreparedData, prepare
from headstart_server.data.features.number import NumberStatistics
from headstart_server.data.parts import Part
from headstart_server.data.tables import Sources, table_of_arrow
from headstart_server.spec.model import TrainSpec
from hypothesis import given
from hypothesis import strategies as st

from tests.support.tables import sources_of, table_of

ROWS = 40
LABELS = ["a", "b"] * (ROWS // 2)
FIXED = ["train"] * 28 + ["validation"] * 6 + ["test"] * 6
FIXED_SPLIT = {"split": {"type": "fixed", "column": "part"}}


def _spec(*inputs: dict[str, Any], **changes: Any) -> TrainSpec:
    return TrainSpec.model_validate(
        {
            "input_features": list(inputs),
            "output_features": [{"name": "label", "type": "category"}],
            "preprocessing": FIXED_SPLIT,
            **changes,
        }
    )


def _refused(spec: TrainSpec, sources: Sources) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        prepare(spec, sources, 0)
    return caught.value


NUMBER = {"name": "x", "type": "number"}


def test_statistics_are_those_of_training_rows_alone() -> None:
    numbers = [float(part == "train") for part in FIXED]
    numbers[-1] = 1e9
    data = prepare(_spec(NUMBER), sources_of(x=numbers, label=LABELS, part=FIXED), 0)
    statistics = data.inputs[0].statistics
    assert isinstance(statistics, NumberStatistics)
    assert (statistics.shift, statistics.maximum) == (1.0, 1.0)
    assert [len(data.rows(part)) for part in (Part.TRAIN, Part.VALIDATION, Part.TEST)] == [28, 6, 6]


@pytest.mark.parametrize(
    ("feature", "cell", "words"),
    [
        ({"name": "x", "type": "number"}, "abc", "row 40 of dataset: 'abc' is not a number"),
        ({"name": "x", "type": "vector"}, "1 2 3", "row 40 of dataset: holds 3 numbers"),
        ({"name": "x", "type": "binary"}, "maybe", "row 40 of dataset: 'maybe'"),
    ],
)
def test_a_bad_input_cell_in_a_test_row_is_found_before_anything_is_encoded(
    feature: dict[str, Any], cell: str, words: str
) -> None:
    values = (["1", "0"] * ROWS)[: ROWS - 1]
    error = _refused(_spec(feature), sources_of(x=[*values, cell], label=LABELS, part=FIXED))
    assert words in error.violations[0].message
    assert error.violations[0].field == "input_features[0]"
    assert error.reason in ("BAD_CELL", "UNSEEN_LABEL")


def test_a_label_unseen_in_training_is_found_by_row() -> None:
    error = _refused(_spec(NUMBER), sources_of(x=[1.0] * ROWS, label=[*LABELS[:-1], "c"], part=FIXED))
    assert (error.violations[0].field, error.reason) == ("output_features[0]", "UNSEEN_LABEL")
    assert "row 40 of dataset: label 'c'" in error.violations[0].message


def test_mistakes_of_all_columns_are_told_at_once() -> None:
    spec = _spec(NUMBER, {"name": "y", "type": "number"})
    error = _refused(spec, sources_of(x=["a"] * ROWS, y=[None] * ROWS, label=["a"] * ROWS, part=FIXED))
    assert [item.field for item in error.violations] == ["input_features[0]", "input_features[1]", "output_features[0]"]
    assert error.reason == "BAD_DATA"


@pytest.mark.parametrize("split", ["stratify", "random"])
def test_labels_that_never_repeat_are_named_instead_of_missing_validation_rows(split: str) -> None:
    labels = [f"label {number}" for number in range(ROWS - 1)]
    column = {"column": "label"} if split == "stratify" else {}
    error = _refused(
        _spec(NUMBER, preprocessing={"split": {"type": split, **column}}),
        sources_of(x=[1.0] * ROWS, label=[*labels, None]),
    )
    assert error.field == ("preprocessing.split.column" if split == "stratify" else "output_features[0]")
    assert error.reason == "NO_REPEATED_LABEL"
    assert "choose a column whose" in error.message


def test_a_stratum_column_of_one_repeated_value_is_enough() -> None:
    labels = [*(f"label {number}" for number in range(ROWS - 1)), "label 0"]
    spec = _spec(
        NUMBER,
        output_features=[{"name": "y", "type": "number"}],
        preprocessing={"split": {"type": "stratify", "column": "label", "probabilities": [0.4, 0.3, 0.3]}},
    )
    data = prepare(spec, sources_of(x=[1.0] * ROWS, y=[1.0] * ROWS, label=labels), 0)
    assert len(data.parts) == ROWS


def test_weights_of_labels_that_no_training_row_has_are_refused_by_name() -> None:
    output = {"name": "label", "type": "category", "loss": {"class_weights": {"a": 2.0, "bb": 1.0, "cc": 3.0}}}
    sources = sources_of(x=[1.0] * ROWS, label=LABELS, part=FIXED)
    error = _refused(_spec(NUMBER, output_features=[output]), sources)
    assert (error.field, error.reason) == ("output_features[0].loss.class_weights", "UNKNOWN_LABEL")
    assert "'bb' is no label of the training rows (nor are 1 others); did you mean 'b'? Labels: a, b" in error.message
    output["loss"] = {"class_weights": {"b": 2.0}}
    assert prepare(_spec(NUMBER, output_features=[output]), sources, 0).outputs[0].classes == ["a", "b"]


def test_absent_columns_are_named_together() -> None:
    spec = _spec(NUMBER, {"name": "y", "type": "number", "column": "why"})
    error = _refused(spec, sources_of(label=LABELS, part=FIXED))
    assert [item.field for item in error.violations] == ["input_features[0].name", "input_features[1].column"]
    assert error.reason == "MISSING_COLUMN"


def test_of_many_absent_columns_the_first_are_told_with_a_suggestion(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    close = difflib.get_close_matches

    def noted(word: str, *others: Any, **options: Any) -> list[str]:
        compared.append(word)
        return close(word, *others, **options)

    monkeypatch.setattr(difflib, "get_close_matches", noted)
    spec = _spec(*({"name": f"size_{number}", "type": "number"} for number in range(300)))
    error = _refused(spec, sources_of(siza_1=[1.0] * ROWS, label=LABELS, part=FIXED))
    assert len(error.listed) + error.unlisted == 300
    assert len(compared) == len(error.listed) == 20
    assert "did you mean 'siza_1'?" in str(error.listed[1])


def test_a_column_absent_from_the_test_set_alone_is_named_with_it() -> None:
    sources = Sources((sources_of(x=[1.0] * ROWS, label=LABELS).tables[0], _test_table()), ("dataset", "test_dataset"))
    error = _refused(_spec(NUMBER, preprocessing={}), sources)
    assert "input_features[0].name" in error.violations[0].field


def _test_table() -> Any:
    return table_of(label=["a", "b"])


def test_one_class_and_all_missing_have_reasons_of_their_own() -> None:
    one = _refused(_spec(NUMBER), sources_of(x=[1.0] * ROWS, label=["a"] * ROWS, part=FIXED))
    none = _refused(_spec(NUMBER), sources_of(x=[None] * ROWS, label=LABELS, part=FIXED))
    assert (one.reason, none.reason) == ("ONE_CLASS_ONLY", "ALL_MISSING")


def test_rows_without_a_label_are_dropped_and_their_other_cells_are_not_read() -> None:
    labels = [None, *LABELS[1:]]
    data = prepare(_spec(NUMBER), sources_of(x=["garbage", *["1"] * (ROWS - 1)], label=labels, part=FIXED), 0)
    assert data.dropped_rows == 1
    assert 0 not in data.rows(Part.TRAIN)


def test_rows_are_dropped_for_missing_inputs_on_request_only() -> None:
    sources = sources_of(x=[None, "NA", *["1"] * (ROWS - 2)], label=LABELS, part=FIXED)
    assert prepare(_spec(NUMBER), sources, 0).dropped_rows == 0
    dropping = {**NUMBER, "preprocessing": {"missing_value_strategy": "drop_row"}}
    assert prepare(_spec(dropping), sources, 0).dropped_rows == 2
    failing = {**NUMBER, "preprocessing": {"missing_value_strategy": "fail"}}
    assert "row 1 of dataset: is missing" in _refused(_spec(failing), sources).violations[0].message


def test_no_label_at_all_leaves_nothing_to_train() -> None:
    error = _refused(_spec(NUMBER), sources_of(x=[1.0] * ROWS, label=[None] * ROWS, part=FIXED))
    assert error.violations[0].field == "output_features"
    assert error.reason == "NO_ROWS"


def test_rows_of_a_given_test_set_are_the_test_rows() -> None:
    sources = Sources((sources_of(x=[1.0] * ROWS, label=LABELS).tables[0], _with_x()), ("dataset", "test_dataset"))
    data = prepare(_spec(NUMBER, preprocessing={}), sources, 0)
    assert data.rows(Part.TEST).tolist() == [ROWS, ROWS + 1]
    assert [len(data.rows(part)) for part in (Part.TRAIN, Part.VALIDATION)] == [36, 4]


def _with_x() -> Any:
    return table_of(x=[1.0, 2.0], label=["a", "b"])


@given(st.integers(0, 50))
def test_a_rare_label_always_reaches_training(seed: int) -> None:
    labels = ["rare", *["a", "b"] * 20, "rarer"]
    spec = _spec(NUMBER, preprocessing={})
    data = prepare(spec, sources_of(x=[float(n) for n in range(42)], label=labels), seed)
    assert set(data.outputs[0].classes) == {"rare", "rarer", "a", "b"}


@given(st.integers(0, 2**62))
def test_a_hash_split_keeps_groups_whole_though_a_label_is_in_one_group_alone(seed: int) -> None:
    keys: list[Any] = [f"k{number % 40}" for number in range(200)]
    keys[1::40] = [None] * 5
    labels = ["rare" if key == "k3" else "rarer" if key is None else "ab"[n % 2] for n, key in enumerate(keys)]
    split = {"split": {"type": "hash", "column": "key", "probabilities": [0.4, 0.3, 0.3]}}
    sources = sources_of(x=[float(number) for number in range(200)], label=labels, key=keys)
    data = prepare(_spec(NUMBER, preprocessing=split), sources, seed)
    assert all(
        len({int(part) for part, found in zip(data.parts, keys, strict=True) if found == key}) == 1 for key in keys
    )
    assert {"rare", "rarer"} <= set(data.outputs[0].classes)


@given(st.integers(0, 2**62))
def test_the_only_positive_of_a_binary_output_is_in_training(seed: int) -> None:
    labels = ["no"] * 99 + ["yes"]
    spec = _spec(NUMBER, output_features=[{"name": "label", "type": "binary"}], preprocessing={})
    data = prepare(spec, sources_of(x=[float(number) for number in range(100)], label=labels), seed)
    assert data.parts[99] == Part.TRAIN


@given(st.integers(0, 2**62), st.sampled_from(["random", "stratify", "hash"]))
def test_the_same_seed_prepares_the_same_rows(seed: int, kind: str) -> None:
    column = {} if kind == "random" else {"column": "key"}
    split = {"split": {"type": kind, "probabilities": [0.4, 0.3, 0.3], **column}, "sample_ratio": 0.8}
    sources = sources_of(
        x=[float(n) for n in range(200)], label=["a", "b"] * 100, key=[f"k{n % 67}" for n in range(200)]
    )
    spec = _spec(NUMBER, preprocessing=split)
    one, two = prepare(spec, sources, seed), prepare(spec, sources, seed)
    assert (one.parts == two.parts).all()
    assert np.array_equal(one.array(one.inputs[0]), two.array(two.inputs[0]))
    assert 100 < (one.parts != Part.DROPPED).sum() < 200


def test_arrays_have_a_value_for_every_row() -> None:
    data = _prepared_mixed()
    assert {name: values.shape for name, values in data.arrays.items()} == {
        "x": (ROWS,),
        "v": (ROWS, 2),
        "s": (ROWS, 2),
        "label": (ROWS,),
    }
    assert data.array(data.outputs[0]).tolist() == [0, 1] * (ROWS // 2)


def test_texts_come_chunk_by_chunk_without_missing_cells() -> None:
    data = _prepared_mixed()
    [text] = [feature for feature in data.inputs if feature.spec.type == "text"]
    assert [value for _, chunk in data.texts(text) for value in chunk.to_pylist()] == ["", *["words"] * (ROWS - 1)]


def _prepared_mixed() -> PreparedData:
    spec = _spec(
        NUMBER,
        {"name": "v", "type": "vector"},
        {"name": "s", "type": "set"},
        {"name": "t", "type": "text"},
    )
    texts = [None, *["words"] * (ROWS - 1)]
    return prepare(
        spec, sources_of(x=[1.0] * ROWS, v=["1 2"] * ROWS, s=["p q"] * ROWS, t=texts, label=LABELS, part=FIXED), 0
    )


def test_rows_are_left_out_by_the_classes_that_are_trained_whatever_their_spelling() -> None:
    """Else the rarest spelling is the class by which all others are left out."""
    labels = ["Yes", "y", *["yes"] * 6, *["no"] * 20, *["yes", "no"] * 6]
    spec = _spec(
        NUMBER,
        output_features=[{"name": "label", "type": "binary"}],
        preprocessing={**FIXED_SPLIT, "undersample_majority": 0.5},
    )
    data = prepare(spec, sources_of(x=[1.0] * ROWS, label=labels, part=FIXED), 0)
    found = data.arrays["label"][data.rows(Part.TRAIN)]
    assert (found.sum(), len(found)) == (8, 24)


@pytest.mark.parametrize("kind", ["text", "category", "set", "number", "vector", "binary"])
@pytest.mark.parametrize("row", [2, ROWS - 1])
def test_bytes_that_are_no_text_are_named_by_row_before_anything_is_encoded(kind: str, row: int) -> None:
    cells = ["1" if index % 2 else "0" for index in range(ROWS)]
    raw = [cell.encode() for cell in cells]
    raw[row] = "K\xf6ln".encode("latin-1")
    table = pa.table({"x": pa.array(raw, pa.large_binary()), "label": LABELS, "part": FIXED})
    error = _refused(_spec({"name": "x", "type": kind}), Sources((table_of_arrow(table, "dataset"),), ("dataset",)))
    assert error.field == "input_features[0]"
    assert f"column 'x', row {row + 1} of dataset: holds bytes that are not UTF-8 text" in error.message


def test_a_split_by_bytes_that_are_no_text_names_the_column() -> None:
    raw = [b"\xff", *[b"train"] * (ROWS - 1)]
    table = pa.table({"x": [1.0] * ROWS, "label": LABELS, "part": pa.array(raw, pa.large_binary())})
    error = _refused(_spec(NUMBER), Sources((table_of_arrow(table, "dataset"),), ("dataset",)))
    assert (error.field, "column 'part' holds bytes" in error.message) == ("preprocessing.split.column", True)
