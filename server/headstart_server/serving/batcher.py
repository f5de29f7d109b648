"""Dynamic batching: rows that arrive while a batch runs share the next one. Nobody waits for company."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from headstart_server import metrics
from headstart_server.core.errors import DeadlineExceededError
from headstart_server.core.fair_queue import FairQueue
from headstart_server.serving.inputs import Reuse
from headstart_server.serving.limiter import PIECE_SECONDS, Limiter, Limits, Permit
from headstart_server.serving.places import Places
from headstart_server.serving.predictor import Predictor
from headstart_server.serving.rows import Answer, Rows
from headstart_server.serving.speeds import Speeds
from headstart_server.serving.work import Prediction, Step, Work

T = TypeVar("T")
_MOST_IMAGES = 512
"""Images of all callers that lie decoded at a time: some 80 MB at 224 pixels."""
_BURST_BATCH_SECONDS = 0.1
"""How long a batch may compute while more waits than fits a smaller one: large batches take less time per row."""
_BURST_AFTER_SECONDS = 0.4
"""After which a server that had no pause is in a burst: until then it may be in an overload, which nothing tells from a
burst yet, and short batches are answered sooner."""
_Done = tuple[list[Any], float]
"""Results, and the seconds that they took."""


class Batcher:
    """One computing thread, so that concurrent callers never fight over the cores. Used on one event loop."""

    def __init__(self, max_batch_rows: int = 256, limits: Limits | None = None) -> None:
        self._max_batch = max_batch_rows
        self.limiter = Limiter(limits or Limits(), Speeds())
        """Whose permits rows need before anything is done for them."""
        self.limiter.shed = self._shed
        self._queue: FairQueue[Work] = FairQueue()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._decoders = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")
        self._places = Places(_MOST_IMAGES)
        self._running = False
        self._busy_since = 0.0
        """Since when one batch has followed another, by `time.monotonic`."""

    async def predict(self, predictor: Predictor, rows: Rows, reuse: Reuse, permit: Permit) -> Answer:
        """The answer to some rows that were taken; raises DeadlineExceededError where it would come too late.

        Many rows are answered piece by piece, each piece queueing anew, so that nobody waits for all of somebody else's
        rows, and those of a caller who has gone are not computed.
        """
        most = partial(self.limiter.speeds.rows_within, permit.kind, PIECE_SECONDS, self._max_batch)
        loop, answers = asyncio.get_running_loop(), []
        for piece in rows.pieces(most):
            if not piece.pending:
                answers.append(await self._answer(predictor, piece, reuse, permit))
                continue
            async with self._places.taken(piece.count):
                loaded = await loop.run_in_executor(self._decoders, predictor.loaded, piece, reuse)
                answers.append(await self._answer(predictor, loaded, reuse, permit))
        return Answer.join(answers)

    def run_between(
        self, function: Callable[[], T], permit: Permit, rows: Callable[[T], int], loop: asyncio.AbstractEventLoop
    ) -> T:
        """Calls a function on the computing thread when it is its tenant's turn; waits for it on this one.

        Args:
            function: Computes some of the permit's rows.
            permit: Of the call that it is for.
            rows: How many rows a result is of.
            loop: That of the batcher.
        """
        return asyncio.run_coroutine_threadsafe(self._step(function, permit, rows), loop).result()

    def close(self) -> None:
        """Lets the batch that runs finish, and stops."""
        self._decoders.shutdown(wait=True, cancel_futures=True)
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def _answer(self, predictor: Predictor, rows: Rows, reuse: Reuse, permit: Permit) -> Answer:
        done = asyncio.get_running_loop().create_future()
        answer: Answer = await self._turn(Prediction(permit, done, predictor=predictor, reuse=reuse, rows=rows))
        return answer

    async def _step(self, function: Callable[[], T], permit: Permit, rows: Callable[[T], int]) -> T:
        done = asyncio.get_running_loop().create_future()
        result: T = await self._turn(Step(permit, done, function=function, rows=rows))
        return result

    async def _turn(self, work: Work) -> Any:
        # whatever touches the queue runs on the event loop, so that it needs no lock
        self._queue.add(work.permit.tenant, work, large=self.limiter.is_large(work.permit))
        metrics.WAITING_ROWS.inc(work.count)
        if not self._running:
            self._running, self._busy_since = True, time.monotonic()
            self._start_next()
        return await work.done

    def _start_next(self) -> None:
        batch = self._take()
        if not batch:
            self._running = False
            return
        now = time.perf_counter()
        for work in batch:
            metrics.BATCH_WAIT.observe(now - work.since)
            work.permit.waiting = max(0, work.permit.waiting - work.count)
        rows = sum(work.count for work in batch)
        if rows:
            metrics.BATCH_ROWS.observe(rows)
        kind = batch[0].permit.kind
        self.limiter.busy_until = time.monotonic() + self.limiter.speeds.running_seconds(
            kind, sum(work.units for work in batch)
        )
        task = asyncio.get_running_loop().run_in_executor(self._executor, _computed, batch)
        task.add_done_callback(lambda done: self._finish(batch, done))

    def _take(self) -> list[Work]:
        """Whose turn it is, and those after it that can share its batch. Nothing is computed for who waits no more."""
        batch: list[Work] = []
        gone: list[Work] = []
        count, most = 0, self._max_batch
        for work in self._queue:
            if work.done.done() or work.expired:
                gone.append(work)
            elif not batch:
                batch.append(work)
                count, most = work.count, self._most_rows(work.permit)
            elif count + work.count <= most and batch[0].shares_with(work):
                batch.append(work)
                count += work.count
        self._queue.remove({*batch, *gone})
        metrics.WAITING_ROWS.dec(sum(work.count for work in (*batch, *gone)))
        for work in gone:
            work.permit.waiting = max(0, work.permit.waiting - work.count)
            _end(work, "dropped", DeadlineExceededError("the call's deadline passed while its rows waited"))
        return batch

    def _most_rows(self, permit: Permit) -> int:
        """Of a batch that begins with rows of this call: few in an overload, and where one may have begun, as more wait
        than a long batch takes; many in a burst, which is to be over soon."""
        speeds, shortest = self.limiter.speeds, self.limiter.speeds.batch_seconds(permit.kind)
        few = speeds.rows_within(permit.kind, shortest, self._max_batch)
        if self.limiter.overloaded(permit.tenant):
            return few
        many = speeds.rows_within(permit.kind, max(shortest, _BURST_BATCH_SECONDS), self._max_batch)
        new = time.monotonic() < self._busy_since + _BURST_AFTER_SECONDS
        return few if new and sum(work.count for work in self._queue) > many else many

    def _shed(self, tenant: str) -> None:
        """Refuses what a tenant has waiting beyond one batch: an overload begins, and it would be answered late."""
        waiting = [work for work in self._queue if work.permit.tenant == tenant and work.sheddable]
        seconds, gone = 0.0, set[Work]()
        for work in waiting:
            seconds += self.limiter.speeds.seconds(work.permit.kind, work.count)
            if seconds > self.limiter.speeds.batch_seconds(work.permit.kind):
                gone.add(work)
        self._queue.remove(gone)
        metrics.WAITING_ROWS.dec(sum(work.count for work in gone))
        for work in gone:
            work.permit.waiting = max(0, work.permit.waiting - work.count)
            work.done.set_exception(self.limiter.refusal(work.permit, "more calls came than can be answered in time"))

    def _finish(self, batch: Sequence[Work], done: "asyncio.Future[_Done]") -> None:
        error = done.exception()
        results, seconds = done.result() if error is None else ([None] * len(batch), 0.0)
        if error is None:
            self._measure(batch, results, seconds)
        # before the answers are handed out, so that the computing thread does not wait for that
        self._start_next()
        for work, result in zip(batch, results, strict=True):
            if work.done.done() or work.expired:
                _end(work, "wasted", DeadlineExceededError("the call's deadline passed while its rows were computed"))
            elif error is not None or isinstance(result, Exception):
                work.done.set_exception(error or result)
            else:
                metrics.PREDICT_ROWS.labels("answered").inc(work.count)
                work.done.set_result(result)

    def _measure(self, batch: Sequence[Work], results: Sequence[Any], seconds: float) -> None:
        rows = sum(work.rows_of(result) for work, result in zip(batch, results, strict=True))
        units = sum(work.units for work in batch) or rows
        permit = batch[0].permit
        if not batch[0].count:  # known only now
            permit.waiting = max(0, permit.waiting - rows)
        if rows:
            # of several models that shared the batch, each: most of it was the encoder's, which they have in common
            kinds = dict.fromkeys(work.permit.kind for work in batch if work.permit.read_once)
            for kind in kinds or dict.fromkeys(work.permit.kind for work in batch):
                self.limiter.speeds.observe(kind, rows, seconds, units)


def _end(work: Work, outcome: str, error: Exception) -> None:
    """Ends what nobody waits for any more."""
    metrics.PREDICT_ROWS.labels(outcome).inc(work.count)
    if not work.done.done():
        work.done.set_exception(error)


def _computed(batch: Sequence[Work]) -> _Done:
    with metrics.BATCH_SECONDS.time():
        start = time.perf_counter()
        results = batch[0].compute(batch)
        return results, time.perf_counter() - start
