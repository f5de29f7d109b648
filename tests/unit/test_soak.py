"""Whether the soak would see a leak, and takes no noise for one."""

from __future__ import annotations

import numpy as np
import pytest

from tests.soak.run import Slope, slope_of

HOURS = np.linspace(0.2, 0.5, 200)
NOISE = np.random.default_rng(3).normal(0.0, 4.0, len(HOURS))


def grown(per_hour: float) -> Slope:
    return slope_of("resident MiB", HOURS, 600 + per_hour * HOURS + NOISE)


def test_noise_is_no_growth() -> None:
    assert not grown(0.0).grows


@pytest.mark.parametrize("per_hour", [40.0, 200.0])
def test_a_leak_is_seen(per_hour: float) -> None:
    slope = grown(per_hour)
    assert slope.grows
    assert slope.per_hour == pytest.approx(per_hour, abs=3 * slope.error)


def test_what_shrinks_is_no_leak() -> None:
    assert not grown(-200.0).grows


def test_one_more_descriptor_in_an_hour_is_seen_only_where_it_counts() -> None:
    steps = np.where(HOURS < 0.35, 60.0, 61.0)
    assert slope_of("descriptors", HOURS, steps).grows
    assert not slope_of("descriptors", HOURS, np.full(len(HOURS), 60.0)).grows
