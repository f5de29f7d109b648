"""Trees as tensor operations answer what LightGBM's do, to the last split."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import pytest
import torch
from headstart_server.model.trees import Node, Tree, Trees, rounded_down
from headstart_server.training.boosters import tree_of

STUMP = Tree([Node(feature=1, threshold=0.5, left=1, right=2), Node(value=-1.0), Node(value=2.0)], 0)


def test_a_row_goes_left_at_the_threshold_and_right_above_it() -> None:
    trees = Trees(1)
    trees.set([STUMP], np.array([10.0]))
    rows = torch.tensor([[9.0, 0.5], [9.0, float(np.nextafter(np.float32(0.5), np.float32(1)))], [9.0, -3.0]])
    assert trees(rows).tolist() == [[9.0], [12.0], [9.0]]


def test_without_trees_there_is_the_bias() -> None:
    trees = Trees(2)
    trees.set([], np.array([1.0, -1.0]))
    assert trees(torch.zeros(3, 4)).tolist() == [[1.0, -1.0]] * 3


def test_trees_of_any_depth_add_to_their_own_column() -> None:
    chain = [Node(feature=0, threshold=2.0, left=2, right=1), Node(value=5.0)]
    chain += [Node(feature=0, threshold=1.0, left=4, right=3), Node(value=7.0), Node(value=11.0)]
    trees = Trees(3)
    trees.set([Tree(chain, 2), Tree([Node(value=1.0)], 0), STUMP], np.zeros(3))
    assert trees(torch.tensor([[3.0, 1.0], [1.5, 0.0], [0.0, 0.0]])).tolist() == [
        [3.0, 0.0, 5.0],
        [0.0, 0.0, 7.0],
        [0.0, 0.0, 11.0],
    ]


@pytest.mark.parametrize("columns", [1, 3])
def test_they_answer_as_lightgbm_at_every_threshold(columns: int) -> None:
    random = np.random.default_rng(5)
    rows = random.normal(size=(600, 5)).astype(np.float32)
    labels = random.integers(max(2, columns), size=600)
    own: dict[str, Any] = {"objective": "multiclass", "num_class": 3} if columns == 3 else {"objective": "binary"}
    booster = lightgbm.train({**own, "verbosity": -1, "num_threads": 1}, lightgbm.Dataset(rows, labels), 30)
    described = booster.dump_model()["tree_info"]
    trees = Trees(columns)
    trees.set([tree_of(item, index % columns) for index, item in enumerate(described)], np.zeros(columns))
    # rows at the thresholds themselves and beside them; what is within 1e-35 of it LightGBM reads as 0
    splits = trees.child != torch.arange(len(trees.child))
    for feature, threshold in zip(trees.feature[splits].tolist(), trees.threshold[splits].numpy(), strict=True):
        place = random.integers(600)
        if abs(threshold) > 1e-30:
            rows[place, feature] = random.choice([threshold, np.nextafter(threshold, np.float32(9)), -threshold])
    expected = np.asarray(booster.predict(rows, raw_score=True)).reshape(600, columns)
    assert np.abs(trees(torch.from_numpy(rows)).numpy() - expected).max() < 1e-12


def test_a_threshold_between_two_float32_is_rounded_to_the_lower_one() -> None:
    exact = np.array([0.1, 1.0, -0.1, 1e-35, np.inf])
    rounded = rounded_down(exact)
    assert (rounded.astype(np.float64) <= exact).all()
    assert (np.nextafter(rounded, np.float32(np.inf)).astype(np.float64)[:-1] > exact[:-1]).all()


def test_how_many_trees_there_are_comes_back_with_the_state() -> None:
    saved, loaded = Trees(1), Trees(1)
    saved.set([STUMP] * 1_100, np.array([0.25]))
    loaded.load_state_dict(saved.state_dict())
    rows = torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    assert loaded(rows).tolist() == saved(rows).tolist() == [[2200.25], [-1099.75]]
