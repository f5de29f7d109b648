"""Clocks: contenders take turns, so that a noisy neighbour slows all of them alike."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """Repeated measurements of one thing, in seconds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one: what the tables show."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """(upper quartile - lower quartile) / median: how far to trust it."""
        if len(self.seconds) < 2:
            return 0.0
        lower, _, upper = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (upper - lower) / self.median

    def percentile(self, share: float) -> float:
        """The value that `share` of the measurements do not exceed."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def elapsed(work: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def interleaved(
    contenders: Mapping[str, Callable[[], float]], repetitions: int, warm_up: int = 1, in_a_row: int = 1
) -> dict[str, Sample]:
    """Each contender's seconds, one turn of each per round; the first `warm_up` rounds are forgotten.

    A contender returns the seconds that it measured. The order turns with every round. Garbage is collected between
    rounds, so that it falls on nobody's turn. With more than one call `in_a_row`, a turn's first only brings the
    contender's own weights back to the processor's caches, and is forgotten.
    """
    names = list(contenders)
    found: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(warm_up + repetitions):
        with _no_garbage():
            for name in _rotated(names, turn):
                seconds = [contenders[name]() for _ in range(in_a_row)]
                if turn >= warm_up:
                    found[name] += seconds[1:] or seconds
    return {name: Sample(tuple(values)) for name, values in found.items()}


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Collects the young garbage now and none until the end."""
    gc.collect(1)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _rotated(names: Sequence[str], turn: int) -> list[str]:
    shift = turn % len(names)
    return [*names[shift:], *names[:shift]]
