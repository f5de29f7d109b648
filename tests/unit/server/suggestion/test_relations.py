"""Columns that tell the target or repeat another, and rows that repeat others."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from headstart_server.suggestion.columns import judge_input, judge_target
from headstart_server.suggestion.profile import profile
from headstart_server.suggestion.relations import DuplicateRows, Leak, duplicate_rows, leak_of, repeated

from tests.unit.server.suggestion.conftest import table_with

N = 600
DRAWN = random.Random(7)
NOISE = [DRAWN.random() for _ in range(N)]
LABELS = [DRAWN.choice(["red", "green", "blue"]) for _ in range(N)]
PRICES = [DRAWN.uniform(5, 500) for _ in range(N)]


def leak(column: Sequence[Any], target: Sequence[Any]) -> Leak | None:
    rows = table_with({"column": column, "target": target}).rows
    found = judge_input(profile("column", rows.column("column")))
    wanted = judge_target(profile("target", rows.column("target")), "targets[0]")
    return leak_of(found, rows.column("column"), wanted, rows.column("target"))


@pytest.mark.parametrize("skew", [0.5, 1.0, 1.5])
def test_a_price_in_another_currency_tells_it_however_skewed_prices_are(skew: float) -> None:
    prices = [DRAWN.lognormvariate(3, skew) for _ in range(N)]
    assert leak([1.19 * price for price in prices], prices) is not None
    spread = statistics.stdev(prices)
    assert leak([price + DRAWN.gauss(0, 0.2 * spread) for price in prices], prices) is None


@pytest.mark.parametrize("rows", [20, 60, 150])
@pytest.mark.parametrize("sign", [1, -1])
def test_of_few_rows_too_a_number_that_is_the_target_tells_it(rows: int, sign: int) -> None:
    prices = [DRAWN.lognormvariate(3, 1) for _ in range(rows)]
    assert leak([sign * 2 * price + 1 for price in prices], prices) is not None
    spread = statistics.stdev(prices)
    assert leak([price + DRAWN.gauss(0, 0.3 * spread) for price in prices], prices) is None


LEAKS: dict[str, tuple[Sequence[Any], Sequence[Any]]] = {
    "another name of each class": ([{"red": "R", "green": "G", "blue": "B"}[label] for label in LABELS], LABELS),
    "finer classes": ([f"{label} {number % 4}" for number, label in enumerate(LABELS)], LABELS),
    "coarser classes": (["warm" if label == "red" else "cold" for label in LABELS], LABELS),
    "finer classes, some of them rare": (
        [f"{label} {number % 4 if number % 9 else number}" for number, label in enumerate(LABELS)],
        LABELS,
    ),
    "numbers of the classes": ([{"red": 1, "green": 2, "blue": 3}[label] for label in LABELS], LABELS),
    "ranges of numbers": (
        [{"red": 0, "green": 10, "blue": 20}[label] + noise for label, noise in zip(LABELS, NOISE, strict=True)],
        LABELS,
    ),
    "98 % of the classes": (
        [label if noise > 0.02 else "red" for label, noise in zip(LABELS, NOISE, strict=True)],
        LABELS,
    ),
    "a price with tax": ([1.19 * price for price in PRICES], PRICES),
}
NO_LEAKS: dict[str, tuple[Sequence[Any], Sequence[Any]]] = {
    "noise": ([DRAWN.choice("abc") for _ in range(N)], LABELS),
    "numbers that are noise": (NOISE, LABELS),
    "80 % of the classes": (
        [label if noise > 0.2 else "red" for label, noise in zip(LABELS, NOISE, strict=True)],
        LABELS,
    ),
    "a strong feature of a number": ([price + 60 * noise for price, noise in zip(PRICES, NOISE, strict=True)], PRICES),
    "one class nearly always": (
        ["x" if noise > 0.5 else "y" for noise in NOISE],
        ["a" if noise > 0.03 else "b" for noise in NOISE],
    ),
}


@pytest.mark.parametrize("case", LEAKS)
def test_a_column_that_tells_the_target_is_found(case: str) -> None:
    found = leak(*LEAKS[case])
    assert found is not None
    assert found.target == "target"
    assert "'target'" in found.evidence


@pytest.mark.parametrize("case", NO_LEAKS)
def test_a_column_that_helps_is_kept(case: str) -> None:
    assert leak(*NO_LEAKS[case]) is None


def test_a_value_that_occurs_once_tells_nothing() -> None:
    assert leak([f"{label}{number}" for number, label in enumerate(LABELS)], LABELS) is None


def test_few_rows_prove_nothing() -> None:
    assert leak(["R", "G"] * 5, ["red", "green"] * 5) is None


@pytest.mark.parametrize(
    ("columns", "texts", "expected"),
    [
        ({"a": list("xyz") * 9, "b": list("xyz") * 9}, [], {"b": "a"}),
        ({"a": list("xyz") * 9, "b": list("xyy") * 9}, [], {}),
        (
            {"title": [f"item {n}" for n in range(50)], "body": [f"about item {n}: fine" for n in range(50)]},
            ["title", "body"],
            {"title": "body"},
        ),
        ({"a": [f"one {n}" for n in range(50)], "b": [f"two {n}" for n in range(50)]}, ["a", "b"], {}),
    ],
)
def test_columns_that_repeat_another(
    columns: Mapping[str, Sequence[str]], texts: Sequence[str], expected: Mapping[str, str]
) -> None:
    found = repeated({name: table_with(columns).rows.column(name) for name in columns}, texts)
    assert found.keys() == expected.keys()
    assert all(repr(expected[name]) in evidence for name, evidence in found.items())


@pytest.mark.parametrize(
    ("texts", "labels", "expected"),
    [
        (["a", "b", "c"], ["x", "y", "x"], DuplicateRows(0, 0)),
        (["Good film!", "good  film", "bad film"], ["x", "x", "y"], DuplicateRows(1, 0)),
        (["good", "Good.", "GOOD"], ["x", "y", "x"], DuplicateRows(2, 1)),
        (["ünten", "unten"], ["x", "x"], DuplicateRows(0, 0)),
    ],
)
def test_rows_that_repeat_others(texts: list[str], labels: list[str], expected: DuplicateRows) -> None:
    rows = table_with({"text": texts, "label": labels}).rows
    assert duplicate_rows([rows.column("text")], [rows.column("label")]) == expected
