"""Room for decoded images: who finds none waits in line, so that any number of callers takes bounded memory."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Places:
    """Places on one event loop, given out in the order of asking."""

    def __init__(self, places: int) -> None:
        self._size = self._free = places
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def taken(self, places: int) -> AsyncIterator[None]:
        """Holds some places, all of them where that many do not exist; waits until those before are served."""
        places = min(places, self._size)
        turn = asyncio.get_running_loop().create_future()
        self._line.append((places, turn))
        self._serve()
        try:
            await turn
            yield
        finally:
            # Who was cancelled while waiting has taken nothing.
            if turn.done() and not turn.cancelled():
                self._free += places
            self._serve()

    def _serve(self) -> None:
        # Nobody but the first in line is served, or small requests would overtake a large one for ever.
        while self._line and (self._line[0][1].done() or self._line[0][0] <= self._free):
            places, turn = self._line.popleft()
            if not turn.done():  # otherwise its caller has gone
                self._free -= places
                turn.set_result(None)
