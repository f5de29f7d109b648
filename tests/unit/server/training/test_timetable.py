"""Evaluations lie where they were asked for, each epoch ends with one, and the run ends where it should."""

import pytest
from headstart_server.training.timetable import Timetable
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("timetable", "stops"),
    [
        (Timetable(2, 8), [[8], [8]]),
        (Timetable(2, 8, steps_per_checkpoint=3), [[3, 6, 8], [3, 6, 8]]),
        (Timetable(1, 8, steps_per_checkpoint=8), [[8]]),
        (Timetable(1, 8, steps_per_checkpoint=9), [[8]]),
        (Timetable(1, 8, checkpoints_per_epoch=2), [[4, 8]]),
        (Timetable(1, 8, checkpoints_per_epoch=3), [[3, 5, 8]]),
        (Timetable(1, 3, checkpoints_per_epoch=1_000_000), [[1, 2, 3]]),
        (Timetable(1, 1, checkpoints_per_epoch=5), [[1]]),
        (Timetable(99, 8, train_steps=13), [[8], [5]]),
        (Timetable(1, 8, train_steps=16), [[8], [8]]),
        (Timetable(1, 8, train_steps=13, steps_per_checkpoint=3), [[3, 6, 8], [3, 5]]),
        (Timetable(1, 8, train_steps=2, checkpoints_per_epoch=2), [[2]]),
    ],
)
def test_a_run_stops_to_evaluate_where_it_was_asked_to(timetable: Timetable, stops: list[list[int]]) -> None:
    assert [timetable.stops(epoch) for epoch in range(1, timetable.last_epoch + 1)] == stops


@given(st.integers(1, 9), st.integers(1, 30), st.integers(0, 100), st.integers(0, 40), st.integers(0, 40))
def test_every_step_is_taken_once(epochs: int, steps: int, total: int, every: int, times: int) -> None:
    timetable = Timetable(epochs, steps, total, every, times)
    taken = 0
    for epoch in range(1, timetable.last_epoch + 1):
        stops = timetable.stops(epoch)
        assert stops == sorted(set(stops)) and stops[0] > 0 and stops[-1] <= steps
        if not every and not total:
            assert len(stops) == min(max(1, times), steps)
        taken += stops[-1]
    assert taken == timetable.total_steps == (total or epochs * steps)
