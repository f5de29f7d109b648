"""Splits are complete, disjoint, seeded, reproducible, and keep what each kind promises."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.parts import Part
from headstart_server.data.splits import assign, keep_labels_in_training
from headstart_server.spec.model import SplitSpec
from hypothesis import given
from hypothesis import strategies as st

from tests.support.tables import table_of

PROBABILITIES = st.tuples(st.integers(1, 10), st.integers(0, 10), st.integers(0, 10)).map(
    lambda parts: [part / sum(parts) for part in parts]
)
WORDS = st.lists(st.one_of(st.none(), st.sampled_from("abcde")), min_size=1, max_size=60)
KINDS = st.sampled_from(["random", "stratify", "hash"])


def _assign(values: Sequence[str | None], kind: Any, probabilities: list[float], seed: int) -> np.ndarray:
    table = table_of(key=[value or "" for value in values], row=list(range(len(values))))
    split = SplitSpec(type=kind, column=None if kind == "random" else "key")
    return assign(table, split, probabilities, seed)


@given(WORDS, KINDS, PROBABILITIES, st.integers(0, 2**62))
def test_every_row_is_in_exactly_one_part_and_the_same_one_again(
    values: list[str | None], kind: str, probabilities: list[float], seed: int
) -> None:
    parts = _assign(values, kind, probabilities, seed)
    assert len(parts) == len(values)
    assert set(parts.tolist()) <= {Part.TRAIN, Part.VALIDATION, Part.TEST}
    assert (parts == _assign(values, kind, probabilities, seed)).all()


@given(st.integers(1, 500), PROBABILITIES, st.integers(0, 1000))
def test_random_parts_are_as_large_as_whole_rows_allow(rows: int, probabilities: list[float], seed: int) -> None:
    parts = assign(table_of(a=list(range(rows))), SplitSpec(), probabilities, seed)
    counts = np.bincount(parts, minlength=3)
    assert np.abs(counts - np.array(probabilities) * rows).max() <= 1 + 1e-9


def test_another_seed_gives_another_split() -> None:
    words = [str(number) for number in range(200)]
    for kind in ("random", "hash"):
        assert (_assign(words, kind, [0.5, 0.2, 0.3], 1) != _assign(words, kind, [0.5, 0.2, 0.3], 2)).any()
    strata = ["a", "b"] * 100
    assert (_assign(strata, "stratify", [0.5, 0.2, 0.3], 1) != _assign(strata, "stratify", [0.5, 0.2, 0.3], 2)).any()


@given(WORDS, PROBABILITIES, st.integers(0, 1000))
def test_each_stratum_is_split_like_the_whole(values: list[str | None], probabilities: list[float], seed: int) -> None:
    parts = _assign(values, "stratify", probabilities, seed)
    for value in set(values):
        mine = parts[[item == value for item in values]]
        counts = np.bincount(mine, minlength=3)
        assert np.abs(counts - np.array(probabilities) * len(mine)).max() <= 1 + 1e-9


@given(WORDS, WORDS, PROBABILITIES, st.integers(0, 1000))
def test_a_hash_split_puts_equal_keys_together_whatever_else_there_is(
    one: list[str | None], other: list[str | None], probabilities: list[float], seed: int
) -> None:
    alone, beside = _assign(one, "hash", probabilities, seed), _assign(one + other, "hash", probabilities, seed)
    assert (alone == beside[: len(one)]).all()
    by_key = dict(zip(one + other, beside.tolist(), strict=True))
    assert [by_key[value] for value in one + other] == beside.tolist()


def test_a_hash_split_is_about_as_large_as_asked() -> None:
    parts = _assign([f"key {number}" for number in range(20_000)], "hash", [0.7, 0.1, 0.2], 5)
    assert np.abs(np.bincount(parts, minlength=3) / 20_000 - [0.7, 0.1, 0.2]).max() < 0.02


def test_a_fixed_split_reads_words_and_numbers() -> None:
    table = table_of(part=["train", "TEST ", "val", "0", "1", "2", "validation", "dev"], n=[0, 1, 2, 0, 1, 2, 0, 0])
    split = SplitSpec(type="fixed", column="part")
    assert assign(table, split, [1, 0, 0], 0).tolist() == [0, 2, 1, 0, 1, 2, 1, 1]
    assert assign(table, SplitSpec(type="fixed", column="n"), [1, 0, 0], 0).tolist() == [0, 1, 2, 0, 1, 2, 0, 0]
    assert assign(table_of(n=[0.0, 1.0, 2.0]), SplitSpec(type="fixed", column="n"), [1, 0, 0], 0).tolist() == [0, 1, 2]


@pytest.mark.parametrize("value", ["3", "trian", "", None])
def test_a_fixed_split_refuses_other_words_by_row(value: str | None) -> None:
    with pytest.raises(InvalidInputError, match="row 2 holds"):
        assign(table_of(part=["train", value]), SplitSpec(type="fixed", column="part"), [1, 0, 0], 0)


def test_an_absent_split_column_is_named() -> None:
    with pytest.raises(InvalidInputError) as caught:
        assign(table_of(part=["train"]), SplitSpec(type="hash", column="prt"), [1, 0, 0], 0)
    assert caught.value.field == "preprocessing.split.column"


@given(st.lists(st.tuples(st.integers(-1, 4), st.sampled_from([-1, 0, 1, 2])), min_size=1, max_size=40))
def test_every_label_is_in_training_afterwards_and_few_rows_moved(rows: list[tuple[int, int]]) -> None:
    labels, before = np.array([label for label, _ in rows]), np.array([part for _, part in rows], np.int8)
    after = before.copy()
    moved = keep_labels_in_training(after, labels)
    assert moved == (before != after).sum()
    kept = before != Part.DROPPED
    assert ((after == Part.DROPPED) == ~kept).all()
    for label in set(labels[kept].tolist()) - {-1}:
        mine = labels == label
        assert (after[mine] == Part.TRAIN).any()
        trained = (before[mine & kept] == Part.TRAIN).any()
        assert (before[mine] != after[mine]).sum() == (0 if trained else 1)
    assert (before[labels < 0] == after[labels < 0]).all()


def test_a_group_is_moved_whole_or_not_at_all() -> None:
    parts = np.array([0, 0, 2, 2, 2, 1], np.int8)
    labels, groups = np.array([0, 0, 1, 0, 2, 0]), np.array([0, 0, 1, 1, 1, 2])
    keep_labels_in_training(parts, labels, groups)
    assert parts.tolist() == [0, 0, 0, 0, 0, 1]


def test_dropped_rows_of_a_moved_group_stay_dropped() -> None:
    parts = np.array([0, 2, -1], np.int8)
    keep_labels_in_training(parts, np.array([0, 1, 1]), np.array([0, 1, 1]))
    assert parts.tolist() == [0, 0, -1]
