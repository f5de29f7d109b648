"""Rows are cut into batches within bounds, and for those that wait in the least time."""

import itertools

import numpy as np
import numpy.typing as npt
from headstart_server.encoders import batches
from headstart_server.encoders.batches import by_cost, by_length
from hypothesis import given, settings
from hypothesis import strategies as st


@given(
    st.lists(st.integers(1, 50), max_size=60),
    st.integers(1, 200),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    st.floats(0, 1),
)
def test_batches_hold_every_row_once_within_budget_and_waste(
    lengths: list[int], budget: int, waste: float, share: float
) -> None:
    array, few = np.array(lengths, np.int64), int(share * budget)
    batches = list(by_length(array, budget, waste, few))
    assert sorted(row for batch in batches for row in batch.tolist()) == list(range(len(lengths)))
    for batch in batches:
        mine = array[batch]
        assert len(batch) == 1 or mine.max() * len(batch) <= budget
        assert mine.min() >= mine.max() - int(waste * mine.max())
        assert mine.min() == mine.max() or len(batch) * mine.max() <= few


def test_rare_lengths_share_a_batch_and_common_ones_do_not() -> None:
    lengths = np.array([30, 29, 28, 20, *[19] * 5, 18])
    batches = [lengths[batch].tolist() for batch in by_length(lengths, 200, 0.1, 90)]
    assert batches == [[30, 29, 28], [20, 19, 19, 19], [19, 19, 18]]
    assert [lengths[batch].tolist() for batch in by_length(lengths, 200, 0.1, 15)][3:] == [[20], [19] * 5, [18]]


def _cost(lengths: npt.NDArray[np.int64], found: list[npt.NDArray[np.int64]]) -> int:
    return sum(batches._CALL_TOKENS + len(batch) * int(lengths[batch].max()) for batch in found)


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(1, 300), st.integers(1, 4))
def test_batches_by_cost_hold_every_row_once_within_budget(lengths: list[int], budget: int, streams: int) -> None:
    array = np.array(lengths, np.int64)
    found = list(by_cost(array, budget, streams))
    assert sorted(row for batch in found for row in batch.tolist()) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) == 1 or len(batch) * array[batch].max() <= budget
    widths = [array[batch].max() for batch in found]
    assert widths == sorted(widths, reverse=True)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=8), st.integers(60, 400))
def test_no_other_batches_of_neighbours_cost_less(lengths: list[int], budget: int) -> None:
    array = np.array(lengths, np.int64)
    order = np.argsort(-array, kind="stable")
    costs = []
    for count in range(len(lengths)):
        for places in itertools.combinations(range(1, len(lengths)), count):
            parts = np.split(order, list(places))
            if all(len(part) == 1 or len(part) * array[part].max() <= budget for part in parts):
                costs.append(_cost(array, parts))
    assert _cost(array, list(by_cost(array, budget, 1))) == min(costs)


def test_texts_of_like_length_share_a_batch_and_a_long_one_pads_nobody() -> None:
    lengths = np.array([20, 200, 25, 22, 19])
    assert [lengths[batch].tolist() for batch in by_cost(lengths, 2_048, 1)] == [[200], [25, 22, 20, 19]]


def test_many_rows_are_cut_so_that_every_stream_has_its_part() -> None:
    found = list(by_cost(np.full(64, 20), 2_048, 2))
    assert [len(batch) * 20 for batch in found] == [640, 640]
