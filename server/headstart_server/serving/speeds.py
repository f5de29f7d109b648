"""How fast rows are computed, measured batch by batch, so that a queue can be bounded in time."""

from collections import OrderedDict
from dataclasses import dataclass

_NEWEST_SHARE = 0.2
"""Of the newest batch in an average."""
_LINE_SHARE = 0.05
"""Of the newest batch in a line, which needs more of them than an average."""
_MOST_KINDS = 1_000
_SHORTEST_BATCH = 0.01
_MANY = 4
_GUESSED_SHARE = 0.6
"""Of what a row takes alone, while no batch of many was measured."""


@dataclass
class _Line:
    """A line through points, of which the newest count most.

    Means and covariances are moving averages (T. Finch, "Incremental calculation of weighted mean and variance", 2009).
    """

    x: float
    y: float
    variance: float = 0.0
    covariance: float = 0.0

    def add(self, x: float, y: float) -> None:
        dx, dy = x - self.x, y - self.y
        self.x, self.y = self.x + _LINE_SHARE * dx, self.y + _LINE_SHARE * dy
        self.variance = (1 - _LINE_SHARE) * (self.variance + _LINE_SHARE * dx * dx)
        self.covariance = (1 - _LINE_SHARE) * (self.covariance + _LINE_SHARE * dx * dy)

    def at(self, x: float) -> float:
        """Where the line, which never falls, has this x; never below 0."""
        rise = max(0.0, self.covariance / self.variance) if self.variance else 0.0
        return max(0.0, self.y + rise * (x - self.x))


@dataclass
class _Speed:
    per_row: float
    single: float
    """Seconds of a batch of one row."""
    in_batches: float
    """Seconds per row of batches of many rows."""
    by_units: _Line
    """Seconds of a batch by its units."""


class Speeds:
    """Moving averages by kind of work: a model, or an encoder that embeds. Used on one event loop."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Speed] = OrderedDict()

    def observe(self, kind: str, rows: int, seconds: float, units: int | None = None) -> None:
        """Takes a batch into account; `units` are what its time goes by, such as tokens, where that is not its rows."""
        units = rows if units is None else units
        each = seconds / max(1, rows)
        found = self._known.get(kind)
        if found is None:
            in_batches = each if rows >= _MANY else each * _GUESSED_SHARE
            self._known[kind] = _Speed(each, each, in_batches, _Line(units, seconds))
            if len(self._known) > _MOST_KINDS:
                self._known.popitem(last=False)
            return
        self._known.move_to_end(kind)
        found.by_units.add(units, seconds)
        found.per_row += _NEWEST_SHARE * (each - found.per_row)
        # a batch that was faster than a row alone has been shows that the row was slow, as the first one is
        if rows == 1 or seconds < found.single:
            found.single += _NEWEST_SHARE * (seconds - found.single)
        if rows >= _MANY:
            found.in_batches += _NEWEST_SHARE * (each - found.in_batches)
        # a row alone is never faster than its share of a batch
        found.single = max(found.single, found.per_row)

    def knows(self, kind: str) -> bool:
        """Whether a batch of this kind was computed before."""
        return kind in self._known

    def seconds(self, kind: str, rows: int) -> float:
        """What so many rows will take; 0 for a kind that was never computed."""
        found = self._known.get(kind)
        return 0.0 if found is None else found.per_row * rows

    def burst_seconds(self, kind: str, rows: int) -> float:
        """What so many rows will take that wait together, and are computed in large batches."""
        found = self._known.get(kind)
        return 0.0 if found is None else min(found.in_batches, found.per_row) * rows

    def running_seconds(self, kind: str, units: int) -> float:
        """What a batch of so many units will take; 0 where nobody knows."""
        found = self._known.get(kind)
        return 0.0 if found is None else found.by_units.at(units)

    def batch_seconds(self, kind: str) -> float:
        """What a batch may take in an overload: half as long again as one row takes alone.

        Who comes while a batch runs waits for it, and is computed with the next, so that its answer takes two of them.
        """
        found = self._known.get(kind)
        return _SHORTEST_BATCH if found is None else max(_SHORTEST_BATCH, 1.5 * found.single)

    def rows_within(self, kind: str, seconds: float, most: int) -> int:
        """How many rows take at most so long, at least one; `most` for a kind that was never computed."""
        found = self._known.get(kind)
        if found is None or found.per_row * most <= seconds:
            return most
        return max(1, int(seconds / found.per_row))
