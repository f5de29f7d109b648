"""A server that stood still does not take the work of others that stood still with it."""

import pytest
from headstart_server.jobs.beat import Beat


@pytest.mark.parametrize(
    ("stood", "slept", "late"),
    [(0.01, 0.01, False), (0.03, 0.01, True), (0.01, 3_600.0, True), (0.01, -3_600.0, False)],
    ids=["on time", "stood still", "was suspended", "set its clock back"],
)
async def test_a_round_is_late_by_either_clock(stood: float, slept: float, late: bool) -> None:
    now = [100.0, 1_700_000_000.0]
    beat = Beat(0.01, (lambda: now[0], lambda: now[1]))
    await beat.wait()
    now[0] += stood
    now[1] += slept
    assert beat.late is late
    await beat.wait()
    assert not beat.late
