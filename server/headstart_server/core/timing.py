"""How long somebody waited."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Waited(Generic[T]):
    """An iterator that sums up the seconds which its consumer spends waiting for the next item."""

    def __init__(self, items: Iterable[T], clock: Callable[[], float] = time.perf_counter) -> None:
        self._items, self._clock = iter(items), clock
        self.seconds = 0.0

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        started = self._clock()
        try:
            return next(self._items)
        finally:
            self.seconds += self._clock() - started
