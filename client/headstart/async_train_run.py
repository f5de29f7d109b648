"""A job being followed on an event loop: iterate over its events, or await its result."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from headstart.errors import HeadstartError, SinkFailed
from headstart.programs import resources
from headstart.programs.retry import RetryPolicy
from headstart.programs.train import job_now, refuse_bad_end
from headstart.sinks.recorder import Recorder
from headstart.v1.training_pb2 import TrainJob, TrainJobEvent
from headstart.wire import methods
from headstart.wire.async_driver import AsyncDriver
from headstart.wire.steps import compute


class AsyncTrainRun:
    """The asyncio twin of `TrainRun`."""

    def __init__(
        self,
        driver: AsyncDriver,
        events: AsyncIterator[TrainJobEvent],
        name: str,
        retry: RetryPolicy,
        after_sequence: int = 0,
        recorder: Recorder | None = None,
    ) -> None:
        self._driver = driver
        self._events = events
        self._first: TrainJobEvent | None = None
        self._retry = retry
        self.name = name
        self.last_sequence = after_sequence
        self._recorder = recorder or Recorder()

    @classmethod
    async def started(
        cls, driver: AsyncDriver, events: AsyncIterator[TrainJobEvent], retry: RetryPolicy, recorder: Recorder
    ) -> AsyncTrainRun:
        """Wait for the first event, which names the job, so that a bad request raises here and now."""
        first = await anext(events, None)
        if first is None:
            raise HeadstartError("the server created no job")
        run = cls(driver, events, first.job, retry, recorder=recorder)
        run._first = first
        return run

    def __aiter__(self) -> AsyncIterator[TrainJobEvent]:
        """Return itself: events are handed out once."""
        return self

    async def __anext__(self) -> TrainJobEvent:
        """Return the next event, waiting for it."""
        event = self._first if self._first is not None else await anext(self._events)
        self._first = None
        self.last_sequence = event.sequence
        return event

    @property
    def sink_failures(self) -> tuple[SinkFailed, ...]:
        """Sinks that failed so far, each once; the job and the following went on."""
        return tuple(self._recorder.failures)

    async def result(self) -> TrainJob:
        """Wait for the job's end and return it.

        Raises:
            JobFailed, JobCancelled: it ended otherwise than SUCCEEDED.
        """
        async for _ in self:
            pass
        return refuse_bad_end(await self.job())

    async def job(self) -> TrainJob:
        """Read the job as it is now."""
        return await self._driver.run(job_now(self.name, self._retry))

    async def cancel(self) -> TrainJob:
        """Ask the job to stop; its last events still arrive."""
        return await self._driver.run(resources.named(resources.JOBS, methods.CANCEL_JOB, self.name))

    async def close(self) -> None:
        """Stop following. The job goes on."""
        await self._driver.run(compute(self._recorder.close))
        events: Any = self._events
        await events.aclose()
