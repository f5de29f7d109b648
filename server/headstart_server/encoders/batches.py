"""How rows of many lengths are cut into batches: for a long pass, and for rows that somebody waits for."""

import heapq
import itertools
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Cut = Callable[[Rows], Iterator[Rows]]
"""Lengths in tokens [n] to batches of row numbers."""

_CALL_TOKENS = 32
"""Tokens that take about as long as a batch takes however few it has: its operations are called one by one, and each
reads its weights (docs/decisions/0051)."""
_LEAST_SHARE = 256
"""Tokens below which a batch is not cut for the sake of another core: two then take as long as one on both."""
_SHARES = (1.0, 1.1, 1.25)
"""Of one stream's part that a batch may have: how well batches fill the streams is tried."""


def by_length(lengths: Rows, budget: int, waste: float, few: int) -> Iterator[Rows]:
    """Rows in batches of at most `budget` tokens.

    Rows of one length are a batch if they have `few` tokens or more. Fewer are filled up to `few` with rows that are
    shorter, but at least (1 - waste) as long.
    """
    order = np.argsort(-lengths, kind="stable")
    falling = -lengths[order]
    start = 0
    while start < len(order):
        length = -int(falling[start])
        alike = int(np.searchsorted(falling, -length, side="right"))
        end = min(alike, start + max(1, budget // max(1, length)))
        if (end - start) * length < few:
            similar = int(np.searchsorted(falling, int(waste * length) - length, side="right"))
            end = min(similar, start + max(1, few // max(1, length)))
        yield order[start:end]
        start = end


def by_cost(lengths: Rows, budget: int, streams: int) -> Iterator[Rows]:
    """Rows in batches that are done first, on so many streams, each of which takes the next batch when it is free.

    A batch costs its tokens, padding included, and a fixed number that every batch costs. It has at most `budget`
    tokens, unless it is one row. Longest rows come first.
    """
    order = np.argsort(-lengths, kind="stable")
    falling = np.maximum(1, lengths[order])
    part = int(falling.sum()) / streams
    bounds = {min(budget, max(_LEAST_SHARE, int(share * part))) for share in _SHARES}
    found = [_cheapest(falling, bound) for bound in sorted(bounds)]
    best = min(found, key=lambda ends: _seconds(falling, ends, streams))
    for start, end in itertools.pairwise([0, *best]):
        yield order[start:end]


def _cheapest(falling: Rows, most: int) -> list[int]:
    """Where batches of at most so many tokens end that cost least together, of rows by falling length."""
    least, begins = np.zeros(len(falling) + 1), [0]
    first = 0
    for end in range(1, len(falling) + 1):
        # the last batch begins at one of the places that leave it within the bound
        while end - first > 1 and (end - first) * falling[first] > most:
            first += 1
        costs = least[first:end] + _CALL_TOKENS + np.arange(end - first, 0, -1) * falling[first:end]
        best = int(costs.argmin())
        least[end] = costs[best]
        begins.append(first + best)
    ends, end = list[int](), len(falling)
    while end:
        ends.append(end)
        end = begins[end]
    return ends[::-1]


def _seconds(falling: Rows, ends: list[int], streams: int) -> float:
    """When the last stream is done, in tokens."""
    free = [0] * streams
    for start, end in itertools.pairwise([0, *ends]):
        heapq.heappush(free, heapq.heappop(free) + _CALL_TOKENS + (end - start) * int(falling[start]))
    return max(free)
