"""An event loop whose time passes only when everybody waits: what takes minutes is over at once, always alike."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


class Clock:
    """The time that everybody sees."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.computing = 0.0
        """Seconds that what runs on a `ComputingThread` has taken so far."""

    def __call__(self) -> float:
        return self.now + self.computing


class _Selector(selectors.DefaultSelector):
    """Waits for nothing but the clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found:
            assert timeout is not None, "everybody waits for nobody"
            self._clock.now += timeout
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: Clock) -> None:
        super().__init__(_Selector(clock))
        self._virtual = clock

    def time(self) -> float:
        return self._virtual.now


class ComputingThread(Executor):
    """One thread: calls take their turn, and as long as they say by adding to `clock.computing`."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._free = clock, 0.0

    def submit(self, function: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        """Calls a function; its result is there when its time has passed."""
        done: Future[T] = Future()
        start = max(self._clock.now, self._free)
        try:
            result = function(*arguments, **named)
            self._free = start + self._clock.computing
        finally:
            self._clock.computing = 0.0
        asyncio.get_running_loop().call_at(self._free, done.set_result, result)
        return done


def run(clock: Clock, work: Coroutine[Any, Any, T], monkeypatch: pytest.MonkeyPatch) -> T:
    """Runs something in the time of a clock."""
    for name in ("monotonic", "perf_counter"):
        monkeypatch.setattr(time, name, clock)
    loop = _Loop(clock)
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()
