"""Which choices a suggested spec leaves to be measured."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from headstart_server.data.tables import Table
from headstart_server.encoders.sources import ModelSources
from headstart_server.spec.parse import parse_yaml
from headstart_server.suggestion.commented import commented
from headstart_server.suggestion.suggest import suggest

from tests.unit.server.suggestion.conftest import table_with

TEXTS = [f"the soup was number {number}, said who came" for number in range(300)]


def _table(rows: int, labels: int = 2, **columns: list[Any]) -> Table:
    classes = [f"class {row % labels}" for row in range(rows)]
    return table_with({"note": [TEXTS[row % 300] for row in range(rows)], "label": classes, **columns})


def _sweep(sources: ModelSources, table: Table, seconds: float = 30.0) -> dict[str, Any]:
    found = suggest(table, ["label"], sources, "cpu", seconds)
    assert parse_yaml(commented(found)) == found.spec
    sweep: dict[str, Any] = found.spec.compact().get("sweep", {})
    return sweep


def _choices(sweep: dict[str, Any]) -> dict[str, Any]:
    return {path: each["choices"] for path, each in sweep["parameters"].items()}


def test_heads_are_compared_on_stored_embeddings(sources: ModelSources) -> None:
    sweep = _sweep(sources, _table(300))
    assert (sweep["search"], sweep["seconds"], sweep["folds"]) == ("grid", 30.0, 5)
    assert _choices(sweep) == {"model_type": ["ecd", "ridge", "gbm", "knn"]}


def test_a_text_beside_other_columns_is_tried_with_and_without(sources: ModelSources) -> None:
    sweep = _sweep(sources, _table(300, size=[row * 7 % 100 / 3 for row in range(300)]))
    assert _choices(sweep)["input_features[0].active"] == [True, False]


@pytest.mark.parametrize(("rows", "folds"), [(3_000, 5), (3_001, 3), (20_001, None)])
def test_the_fewer_the_rows_the_more_folds(sources: ModelSources, rows: int, folds: int | None) -> None:
    assert _sweep(sources, _table(rows)).get("folds") == folds


@pytest.mark.parametrize(("rows", "seconds"), [(300, 0.0), (49, 30.0)])
def test_nothing_is_measured_where_it_is_not_asked_for_or_says_nothing(
    sources: ModelSources, rows: int, seconds: float
) -> None:
    assert _sweep(sources, _table(rows), seconds) == {}


def test_trees_are_left_out_where_they_cannot_be_grown_or_cost_too_much(
    sources: ModelSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "gbm" not in _choices(_sweep(sources, _table(600, labels=21)))["model_type"]
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "lightgbm" else find(name))
    assert "gbm" not in _choices(_sweep(sources, _table(300)))["model_type"]
