"""The beat at which leases are renewed, and whether this server has kept to it."""

import asyncio
import time
from collections.abc import Callable

_LATE = 2.0
"""Times the beat."""


class Beat:
    """Waits between rounds, and tells of a round that came late.

    What stopped this server may have stopped the others as well: a machine that stood still, a database that was away.
    Who wakes up first must not take the others' work, whose leases have run out, before they could renew them: a whole
    round must have gone well since.
    """

    def __init__(self, seconds: float, clocks: tuple[Callable[[], float], ...] = (time.monotonic, time.time)) -> None:
        self.seconds = seconds
        # a machine that was suspended shows on the second alone
        self._clocks = clocks
        self._since = self._now()
        self._kept = self._before = True

    async def wait(self) -> None:
        """Sleeps until the next round."""
        self._before, self._kept = self._kept, False
        self._since = self._now()
        await asyncio.sleep(self.seconds)

    def kept(self) -> None:
        """Takes note that this round went well."""
        self._kept = not self._late

    @property
    def steady(self) -> bool:
        """Whether the round before went well, and not far more time has passed since than the wait takes."""
        return self._before and not self._late

    @property
    def _late(self) -> bool:
        return any(now - then > _LATE * self.seconds for now, then in zip(self._now(), self._since, strict=True))

    def _now(self) -> tuple[float, ...]:
        return tuple(clock() for clock in self._clocks)
