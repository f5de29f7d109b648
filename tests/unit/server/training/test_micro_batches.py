"""How batches are cut into passes of at most so many rows and tokens."""

from __future__ import annotations

import pytest
import torch
from headstart_server.training.micro_batches import PassLimits, cut

LENGTHS = torch.tensor([10, 10, 10, 10, 40, 40, 40, 40, 900, 3])


def _passes(rows: list[int], limits: PassLimits) -> list[list[int]]:
    return [each.rows.tolist() for each in cut([torch.tensor(rows)], 1, limits)]


@pytest.mark.parametrize(
    ("rows", "passes"),
    [
        ([0, 1, 2, 3], [[0, 1, 2, 3]]),
        ([4, 5, 6, 7], [[4, 5], [6, 7]]),
        ([0, 1, 2, 4], [[0, 1], [2, 4]]),  # all of a batch are taken to be as long as its longest
        ([8, 9], [[8], [9]]),
    ],
)
def test_passes_hold_as_many_tokens_as_they_may_padding_included(rows: list[int], passes: list[list[int]]) -> None:
    assert _passes(rows, PassLimits(32, 80, LENGTHS)) == passes


def test_rows_are_limited_beside_tokens_and_alone() -> None:
    assert _passes([0, 1, 2, 3], PassLimits(2, 80, LENGTHS)) == [[0, 1], [2, 3]]
    assert _passes([4, 5, 6, 7], PassLimits(3)) == [[4, 5], [6, 7]]


def test_the_last_pass_of_a_step_is_told_and_all_know_its_rows() -> None:
    batches = [torch.tensor([4, 5, 6, 7]), torch.tensor([0, 1])]
    found = list(cut(batches, 2, PassLimits(32, 80, LENGTHS)))
    assert [each.last for each in found] == [False, False, True]
    assert all(each.step_rows is found[0].step_rows for each in found)
    assert found[0].step_rows.tolist() == [4, 5, 6, 7, 0, 1]
