"""A job being followed: iterate over its events, or wait for its result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headstart.errors import HeadstartError, SinkFailed
from headstart.programs import resources
from headstart.programs.retry import RetryPolicy
from headstart.programs.train import job_now, refuse_bad_end
from headstart.sinks.recorder import Recorder
from headstart.v1.training_pb2 import TrainJob, TrainJobEvent
from headstart.wire import methods
from headstart.wire.driver import Driver
from headstart.wire.steps import compute


class TrainRun:
    """An iterator over a job's events, each once and in order, over dropped streams.

    Letting go of it stops nothing: the job goes on and `Client.watch` picks it up again.

    Attributes:
        name: the job, `trainJobs/{id}`.
        last_sequence: number of the last event that was handed out.
        sink_failures: what became of sinks that failed.
    """

    def __init__(
        self,
        driver: Driver,
        events: Iterator[TrainJobEvent],
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
    def started(
        cls, driver: Driver, events: Iterator[TrainJobEvent], retry: RetryPolicy, recorder: Recorder
    ) -> TrainRun:
        """Wait for the first event, which names the job, so that a bad request raises here and now."""
        first = next(events, None)
        if first is None:
            raise HeadstartError("the server created no job")
        run = cls(driver, events, first.job, retry, recorder=recorder)
        run._first = first
        return run

    def __iter__(self) -> Iterator[TrainJobEvent]:
        """Return itself: events are handed out once."""
        return self

    def __next__(self) -> TrainJobEvent:
        """Return the next event, waiting for it."""
        event = self._first if self._first is not None else next(self._events)
        self._first = None
        self.last_sequence = event.sequence
        return event

    @property
    def sink_failures(self) -> tuple[SinkFailed, ...]:
        """Sinks that failed so far, each once; the job and the following went on."""
        return tuple(self._recorder.failures)

    def result(self) -> TrainJob:
        """Wait for the job's end and return it.

        Raises:
            JobFailed, JobCancelled: it ended otherwise than SUCCEEDED.
        """
        for _ in self:
            pass
        return refuse_bad_end(self.job())

    def job(self) -> TrainJob:
        """Read the job as it is now."""
        return self._driver.run(job_now(self.name, self._retry))

    def cancel(self) -> TrainJob:
        """Ask the job to stop; its last events still arrive."""
        return self._driver.run(resources.named(resources.JOBS, methods.CANCEL_JOB, self.name))

    def close(self) -> None:
        """Stop following. The job goes on."""
        self._driver.run(compute(self._recorder.close))
        events: Any = self._events
        events.close()
