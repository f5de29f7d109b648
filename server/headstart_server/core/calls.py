"""Calls in hand, by whichever transport: no more than a bound, and no new ones once the server is stopping."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from headstart_server.core.errors import OverloadedError, StoppingError


class Calls:
    """Those of one server. Used on its event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()
        self.stopping = False

    def stop(self) -> None:
        """Refuses calls from now on."""
        self.stopping = True

    async def ended(self, seconds: float) -> bool:
        """Waits until no call is in hand, for so long at most; says whether none is."""
        try:
            async with asyncio.timeout(seconds):
                await self._none.wait()
        except TimeoutError:
            return False
        return True

    @contextmanager
    def one(self) -> Iterator[None]:
        """Holds a call; raises StoppingError once the server is stopping, and OverloadedError for one too many."""
        if self.stopping:
            raise StoppingError("the server is stopping; try again, it comes back or another one answers")
        if self._count >= self._most:
            raise OverloadedError(f"{self._count} calls are in hand already; close streams that you do not read")
        self._count += 1
        self._none.clear()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._none.set()
