"""Speeds: what is measured follows what happens, and a slow start is soon forgotten."""

from __future__ import annotations

import pytest
from headstart_server.serving.speeds import Speeds


def test_nothing_is_known_before_a_batch_was_measured() -> None:
    speeds = Speeds()
    assert (speeds.knows("m"), speeds.seconds("m", 5), speeds.rows_within("m", 0.1, 256)) == (False, 0.0, 256)


def test_the_average_follows_the_batches() -> None:
    speeds = Speeds()
    for _ in range(50):
        speeds.observe("m", 10, 0.1)
    assert speeds.seconds("m", 100) == pytest.approx(1.0)
    assert speeds.rows_within("m", 0.5, 256) == pytest.approx(50, abs=1)
    assert speeds.rows_within("m", 0.0001, 256) == 1
    for _ in range(50):
        speeds.observe("m", 10, 0.2)
    assert speeds.seconds("m", 100) == pytest.approx(2.0, rel=0.01)


def test_a_batch_of_an_overload_takes_half_as_long_again_as_a_row_alone() -> None:
    speeds = Speeds()
    for _ in range(50):
        speeds.observe("m", 1, 0.02)
        speeds.observe("m", 8, 0.08)
    assert speeds.batch_seconds("m") == pytest.approx(0.03, rel=0.1)


def test_a_slow_first_batch_is_forgotten_whatever_follows() -> None:
    speeds = Speeds()
    speeds.observe("m", 1, 3.0)
    for _ in range(40):
        speeds.observe("m", 4, 0.04)
    assert speeds.batch_seconds("m") < 0.1


def test_as_many_kinds_are_known_as_are_used_and_no_more() -> None:
    speeds = Speeds()
    for number in range(2_000):
        speeds.observe(f"m{number}", 1, 0.1)
        speeds.observe("used", 1, 0.1)
    assert speeds.knows("used") and speeds.knows("m1999") and not speeds.knows("m0")


def test_a_running_batch_is_foretold_by_its_tokens() -> None:
    speeds = Speeds()
    assert speeds.running_seconds("m", 10) == 0.0
    for turn in range(100):
        tokens = 10 + 7 * turn % 50
        speeds.observe("m", 1, 0.008 + 0.0002 * tokens, tokens)
    assert speeds.running_seconds("m", 12) == pytest.approx(0.0104, rel=0.02)
    assert speeds.running_seconds("m", 60) == pytest.approx(0.02, rel=0.02)


def test_a_batch_is_foretold_where_its_tokens_tell_nothing() -> None:
    speeds = Speeds()
    for turn in range(100):
        speeds.observe("m", 1, 0.02 - 0.0001 * (turn % 20), turn % 20)
    assert speeds.running_seconds("m", 1_000) == pytest.approx(0.019, rel=0.05)
