"""The rows that a trial learns from and is compared on."""

import torch
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
