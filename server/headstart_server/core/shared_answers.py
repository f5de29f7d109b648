"""Answers that many ask for at about the same time, asked for once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedAnswers(Generic[T]):
    """Used on one event loop.

    Args:
        seconds: How old an answer may be.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._asked: dict[str, tuple[float, asyncio.Future[T]]] = {}

    async def of(self, name: str, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer to a question with this name; raises what asking raises, to all who wait for it."""
        now = asyncio.get_running_loop().time()
        known = self._asked.get(name)
        if known is None or now - known[0] > self._seconds:
            self._forget(now)
            known = self._asked[name] = now, asyncio.ensure_future(ask())
        # who goes meanwhile takes the answer from nobody
        return await asyncio.shield(known[1])

    def _forget(self, now: float) -> None:
        self._asked = {
            name: (asked, answer)
            for name, (asked, answer) in self._asked.items()
            if not answer.done() or now - asked <= self._seconds
        }
