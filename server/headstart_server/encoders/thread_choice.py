"""How many threads a batch of little work gets: one or all, whichever took less time lately."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from torch import nn

from headstart_server.encoders.streams import cores, threads

_TRY_EVERY = 32
"""Batches after which the other number is tried again: what else runs on the machine changes."""
_FIRST = 3
"""Batches of which the fastest counts: the first ones make room, and load what they call."""
_NEWEST_SHARE = 0.25
_OUTLIER = 4.0
"""Times what is known: a batch that took longer was held up, which says little of the next."""


class ThreadChoice:
    """Learns from the batches of one size of one encoder.

    Several threads wait for each other at every operation. Whether they pay depends on the work, on the machine and on
    what else runs there: a second core that another process has makes both slower than one.
    """

    def __init__(self, most: int) -> None:
        self._counts = (most, 1)
        self._seconds: dict[int, float] = {}
        self._observed = dict.fromkeys(self._counts, 0)
        self._batches = 0

    def next(self) -> int:
        """How many threads the next batch shall have."""
        for count, observed in self._observed.items():
            if observed < _FIRST:
                return count
        self._batches += 1
        best, other = sorted(self._counts, key=self._seconds.__getitem__)
        return other if self._batches % _TRY_EVERY == 0 else best

    def observe(self, count: int, seconds: float) -> None:
        """Takes the time of a batch into account."""
        known = self._seconds.setdefault(count, seconds)
        self._observed[count] += 1
        if self._observed[count] <= _FIRST:
            self._seconds[count] = min(known, seconds)
        else:
            self._seconds[count] += _NEWEST_SHARE * (min(seconds, _OUTLIER * known) - known)


_choices: WeakKeyDictionary[nn.Module, dict[int, ThreadChoice]] = WeakKeyDictionary()


@contextmanager
def few_threads(encoder: nn.Module, size: int) -> Iterator[None]:
    """Runs a batch of an encoder on one thread or on all; `size` tells batches of like work, such as by their tokens.

    Used on one thread at a time for each encoder.
    """
    choice = _choices.setdefault(encoder, {}).setdefault(size, ThreadChoice(cores()))
    count = choice.next()
    with threads(count):
        start = time.perf_counter()
        yield
        choice.observe(count, time.perf_counter() - start)
