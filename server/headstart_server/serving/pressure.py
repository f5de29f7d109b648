"""How much of a tenant's work is refused, which tells a burst from an overload that lasts."""

import math
import random
import time

_REMEMBERED_SECONDS = 1.0
"""Over which refused work is averaged."""
_LEAST_SECONDS = 5.0
"""For which an overload lasts at least, so that the bound does not swing."""
_SHARE = 0.25
"""Seconds of work refused per second below which it has ended."""
_LONGEST_RETRY = 30.0


class Pressure:
    """That of one tenant. Used on one event loop."""

    def __init__(self) -> None:
        self._refused = 0.0
        self._time = time.monotonic()
        self._until: float | None = None

    @property
    def lately(self) -> float:
        """Seconds of work that were refused in the last second or so."""
        return self._refused * math.exp((self._time - time.monotonic()) / _REMEMBERED_SECONDS)

    @property
    def overload(self) -> bool:
        """Whether more than a burst comes."""
        if self._until is not None and time.monotonic() >= self._until and self.lately < _SHARE:
            self._until = None
        return self._until is not None

    @property
    def over(self) -> bool:
        """Whether nothing is left to be remembered."""
        return not self.overload and self.lately < _SHARE / 10

    def begin_overload(self) -> None:
        """More has come than a burst may bring."""
        self._until = time.monotonic() + _LEAST_SECONDS

    def refuse(self, cost: float, shortest: float) -> float:
        """Counts seconds of work as refused; returns the seconds after which to try again.

        That is as long as it takes to compute all that was refused lately, and at least `shortest`: the more callers
        are refused, the later each of them comes back.
        """
        self._refused = self.lately + cost
        self._time = time.monotonic()
        # at random, so that those who were refused at the same time do not come back at the same time
        return min(_LONGEST_RETRY, max(shortest, self._refused) * random.uniform(0.5, 1.5))
