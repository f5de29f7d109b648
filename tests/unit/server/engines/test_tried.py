"""The rows that a trial learns from and is compared on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.parts import Part
from headstart_server.engines.tried import Fold, trial_parts


def test_rows_that_are_there_several_times_are_left_out_together_and_compared_on_once() -> None:
    parts = {
        Part.TRAIN: torch.tensor([0, 0, 0, 1, 2, 3, 3]),
        Part.VALIDATION: torch.tensor([4, 5]),
        Part.TEST: torch.tensor([6]),
    }
    compared = list[int]()
    for number in range(3):
        found = trial_parts(parts, 1.0, Fold(number, 3), seed=1)
        left_out = found[Part.VALIDATION].tolist()
        assert len(left_out) == len(set(left_out)) == 2
        assert sorted(found[Part.TRAIN].tolist()) == [row for row in [0, 0, 0, 1, 2, 3, 3, 4, 5] if row not in left_out]
        compared += left_out
    assert sorted(compared) == [0, 1, 2, 3, 4, 5]


def test_rows_that_a_split_keeps_together_are_left_out_together() -> None:
    """Of a patient whose other rows were learned, nobody can tell what a model would say of a stranger."""
    groups = np.array([7, 7, 3, 3, 5, 5, 9, 9, 1, 1])
    parts = {
        Part.TRAIN: torch.tensor([0, 1, 2, 3, 4, 5]),
        Part.VALIDATION: torch.tensor([6, 7, 8, 9]),
        Part.TEST: torch.tensor([], dtype=torch.int64),
    }
    compared = list[int]()
    for number in range(2):
        found = trial_parts(parts, 1.0, Fold(number, 2, groups), seed=1)
        learned, left_out = found[Part.TRAIN].tolist(), found[Part.VALIDATION].tolist()
        assert not set(groups[learned]) & set(groups[left_out])
        assert sorted(learned + left_out) == list(range(10))
        compared += left_out
    assert sorted(compared) == list(range(10))
    with pytest.raises(InvalidInputError, match="is 6, and there are 5 groups of rows") as caught:
        trial_parts(parts, 1.0, Fold(0, 6, groups), seed=1)
    assert caught.value.field == "sweep.folds"
