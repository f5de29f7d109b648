"""A server that stood still does not take the work of others that stood still with it."""

import pytest
from headstart_server.jobs.beat import Beat


@pytest.mark.parametrize(
    ("stood", "slept", "steady"),
    [(0.01, 0.01, True), (0.03, 0.01, False), (0.01, 3_600.0, False), (0.01, -3_600.0, True)],
    ids=["on time", "stood still", "was suspended", "set its clock back"],
)
async def test_a_round_is_late_by_either_clock_and_the_next_one_waits_for_the_others(
    stood: float, slept: float, steady: bool
) -> None:
    now = [100.0, 1_700_000_000.0]
    beat = Beat(0.01, (lambda: now[0], lambda: now[1]))
    await beat.wait()
    now[0] += stood
    now[1] += slept
    assert beat.steady is steady
    beat.kept()
    await beat.wait()
    assert beat.steady is steady
    beat.kept()
    await beat.wait()
    assert beat.steady


async def test_after_a_round_that_failed_one_must_go_well_first() -> None:
    beat = Beat(0.0, ())
    await beat.wait()
    assert beat.steady
    for _ in range(3):  # the database is away
        await beat.wait()
    assert not beat.steady
    beat.kept()
    await beat.wait()
    assert beat.steady
