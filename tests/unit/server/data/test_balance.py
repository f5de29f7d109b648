"""Labels are balanced by drawing rows again or leaving some out, seeded, with no label lost."""

import numpy as np
import pytest
from headstart_server.data.balance import Oversampling, left_out
from hypothesis import given
from hypothesis import strategies as st

LABELS = st.lists(st.integers(-1, 3), min_size=1, max_size=80)
RATIO = st.floats(0.01, 1.0)


def _arrays(labels: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(len(labels), dtype=np.int64) * 3, np.array(labels, np.int64)


@given(LABELS, RATIO, st.integers(0, 9))
def test_each_label_gets_the_part_asked_for_and_every_row_stays(labels: list[int], ratio: float, seed: int) -> None:
    rows, kinds = _arrays(labels)
    drawn = Oversampling("label", ratio, seed).drawn(rows, kinds)
    assert drawn.tolist() == sorted(drawn.tolist()) and set(drawn) == set(rows)
    counts = {kind: int((kinds == kind).sum()) for kind in set(labels) - {-1}}
    for kind, count in counts.items():
        times = [int((drawn == row).sum()) for row in rows[kinds == kind]]
        assert sum(times) == max(count, round(ratio * max(counts.values())))
        assert max(times) - min(times) <= 1
    assert int(np.isin(drawn, rows[kinds == -1]).sum()) == labels.count(-1)


@given(LABELS, RATIO, st.integers(0, 9))
def test_no_label_keeps_more_than_asked_for_and_the_rarest_all_of_its_rows(
    labels: list[int], ratio: float, seed: int
) -> None:
    rows, kinds = _arrays(labels)
    gone = left_out(rows, kinds, ratio, seed)
    counts = {kind: int((kinds == kind).sum()) for kind in set(labels) - {-1}}
    for kind, count in counts.items():
        kept = count - int(np.isin(rows[kinds == kind], gone).sum())
        assert kept == min(count, int(min(counts.values()) / ratio)) >= 1
    assert not np.isin(rows[kinds == -1], gone).any()


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_drawn_depends_on_the_seed_alone(seed: int) -> None:
    rows, kinds = _arrays([0] * 50 + [1] * 20)
    first = Oversampling("label", 0.5, seed).drawn(rows, kinds)
    assert np.array_equal(first, Oversampling("label", 0.5, seed).drawn(rows, kinds))
    assert not np.array_equal(first, Oversampling("label", 0.5, seed + 1).drawn(rows, kinds))
    assert not np.array_equal(left_out(rows, kinds, 0.5, seed), left_out(rows, kinds, 0.5, seed + 1))
