"""Dynamic batching: rows that arrive while a batch runs share the next one. Nobody waits for company."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from headstart_server import metrics
from headstart_server.core.errors import OverloadedError
from headstart_server.serving.inputs import Reuse
from headstart_server.serving.places import Places
from headstart_server.serving.predictor import Predictor
from headstart_server.serving.rows import Answer, Rows

T = TypeVar("T")
_MOST_IMAGES = 512
"""Images of all callers that lie decoded at a time: some 80 MB at 224 pixels."""


@dataclass
class _Waiting:
    predictor: Predictor
    reuse: Reuse
    rows: Rows
    answer: "asyncio.Future[Answer]"
    since: float = field(default_factory=time.perf_counter)


class Batcher:
    """One computing thread, so that concurrent callers never fight over the cores."""

    def __init__(self, max_batch_rows: int = 256, max_waiting_rows: int = 65_536) -> None:
        self._max_batch, self._max_waiting = max_batch_rows, max_waiting_rows
        self._queue: list[_Waiting] = []
        self._waiting_rows = 0
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._decoders = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")
        self._places = Places(_MOST_IMAGES)
        self._running = False
        self._others = threading.Lock()

    async def predict(self, predictor: Predictor, rows: Rows, reuse: Reuse) -> Answer:
        """The answer to some rows; raises OverloadedError when too many wait.

        Many rows are answered piece by piece, each piece queueing anew, so that nobody waits for all of somebody else's
        rows, and those of a caller who has gone are not computed.
        """
        answers = []
        for piece in rows.pieces(self._max_batch):
            if not piece.pending:
                answers.append(await self._answer(predictor, piece, reuse))
                continue
            async with self._places.taken(piece.count):
                loop = asyncio.get_running_loop()
                loaded = await loop.run_in_executor(self._decoders, predictor.loaded, piece, reuse)
                answers.append(await self._answer(predictor, loaded, reuse))
        return Answer.join(answers)

    def run_between(self, function: Callable[[], T]) -> T:
        """Calls a function on the computing thread, between batches of predictions; waits for it on this one.

        Only one such call is ahead of a batch at a time.
        """
        with self._others:
            return self._executor.submit(function).result()

    def require_room(self, rows: int = 1) -> None:
        """Raises OverloadedError when too many rows wait for more; asked before texts are tokenised, too."""
        # A request above the bound is taken where nobody waits, or it never would be.
        if self._waiting_rows + rows > self._max_waiting and self._queue:
            raise OverloadedError(f"{self._waiting_rows} rows wait already; send fewer at a time", retry_after=1.0)

    async def _answer(self, predictor: Predictor, rows: Rows, reuse: Reuse) -> Answer:
        self.require_room(rows.count)
        # Whatever touches the queue runs on the event loop, so that it needs no lock.
        waiting = _Waiting(predictor, reuse, rows, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._waiting_rows += rows.count
        metrics.WAITING_ROWS.set(self._waiting_rows)
        if not self._running:
            self._running = True
            self._start_next()
        return await waiting.answer

    def close(self) -> None:
        """Lets the batch that runs finish, and stops."""
        self._decoders.shutdown(wait=True, cancel_futures=True)
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _start_next(self) -> None:
        batch = self._take()
        if not batch:
            self._running = False
            return
        now = time.perf_counter()
        for waiting in batch:
            metrics.BATCH_WAIT.observe(now - waiting.since)
        metrics.BATCH_ROWS.observe(sum(waiting.rows.count for waiting in batch))
        task = asyncio.get_running_loop().run_in_executor(self._executor, _run, batch)
        task.add_done_callback(lambda done: self._finish(batch, done))

    def _take(self) -> list[_Waiting]:
        """The oldest request and those after it that can share its batch."""
        batch: list[_Waiting] = []
        rest: list[_Waiting] = []
        count = 0
        for waiting in self._queue:
            if waiting.answer.done():  # its caller has gone
                self._waiting_rows -= waiting.rows.count
                continue
            alike = not batch or (waiting.predictor is batch[0].predictor and waiting.reuse is batch[0].reuse)
            if alike and (not batch or count + waiting.rows.count <= self._max_batch):
                batch.append(waiting)
                count += waiting.rows.count
            else:
                rest.append(waiting)
        self._queue = rest
        self._waiting_rows -= count
        metrics.WAITING_ROWS.set(self._waiting_rows)
        return batch

    def _finish(self, batch: list[_Waiting], done: "asyncio.Future[Answer]") -> None:
        # First, so that the computing thread does not wait until the answers are handed out.
        self._start_next()
        error = done.exception()
        start = 0
        for waiting in batch:
            end = start + waiting.rows.count
            if not waiting.answer.done():
                if error is not None:
                    waiting.answer.set_exception(error)
                else:
                    waiting.answer.set_result(done.result().slice(start, end))
            start = end


def _run(batch: list[_Waiting]) -> Answer:
    # Joined here rather than in `_take`: what cannot be joined then fails this batch's callers alone.
    with metrics.BATCH_SECONDS.time():
        rows = Rows.join([waiting.rows for waiting in batch])
        return batch[0].predictor.predict(rows, batch[0].reuse)
