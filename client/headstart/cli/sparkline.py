"""Draw a series in one line of text, to see at a glance whether the loss falls."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """Return one block per value, or per mean of neighbours where there are more than `width`."""
    points = [value for value in _condensed(values, width) if math.isfinite(value)]
    if not points:
        return ""
    low, high = min(points), max(points)
    span = high / 2 - low / 2  # halves, for their difference is finite whatever they are
    steps = len(BLOCKS) - 1
    return "".join(BLOCKS[round((point / 2 - low / 2) / span * steps) if span > 0 else 0] for point in points)


def _condensed(values: Sequence[float], width: int) -> list[float]:
    if len(values) <= width:
        return list(values)
    bounds = [round(index * len(values) / width) for index in range(width + 1)]
    return [sum(values[start:end]) / (end - start) for start, end in itertools.pairwise(bounds) if end > start]
