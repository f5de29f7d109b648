"""Clocks: contenders take turns, so that a noisy neighbour slows all of them alike."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
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
        """(largest - smallest) / median: how far to trust it."""
        return (max(self.seconds) - min(self.seconds)) / self.median

    def percentile(self, share: float) -> float:
        """The value that `share` of the measurements do not exceed."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def elapsed(work: Callable[[], object]) -> float:
    """Seconds that one call takes, garbage collected before it."""
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def interleaved(contenders: Mapping[str, Callable[[], float]], repetitions: int, warm_up: int = 1) -> dict[str, Sample]:
    """Each contender's seconds, one of each per round; the first `warm_up` rounds are forgotten.

    A contender returns the seconds that it measured. The order turns with every round.
    """
    names = list(contenders)
    found: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(warm_up + repetitions):
        for name in _rotated(names, turn):
            seconds = contenders[name]()
            if turn >= warm_up:
                found[name].append(seconds)
    return {name: Sample(tuple(values)) for name, values in found.items()}


def _rotated(names: Sequence[str], turn: int) -> list[str]:
    shift = turn % len(names)
    return [*names[shift:], *names[:shift]]
