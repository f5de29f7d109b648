"""Follow a job's log over dropped streams, each event exactly once and in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headstart.errors import Unavailable
from headstart.programs.retry import Patience, RetryPolicy, persistently
from headstart.sinks.recorder import Recorder
from headstart.v1.training_pb2 import (
    GetTrainJobRequest,
    TrainJob,
    TrainJobEvent,
    TrainJobRequest,
    WatchTrainJobRequest,
)
from headstart.wire.methods import GET_JOB, TRAIN_JOB, WATCH_JOB
from headstart.wire.steps import Emit, Flow, Program, Stream, call, compute, open_stream, read

_TOGETHER = 256
"""Most events of one response: a stored epoch takes a few milliseconds, a response of its own a tenth of one."""
TERMINAL = frozenset({TrainJob.STATE_SUCCEEDED, TrainJob.STATE_FAILED, TrainJob.STATE_CANCELLED})


@dataclass
class Position:
    """How far a job's log has been read. `request` creates the job where its name is not known yet."""

    name: str = ""
    sequence: int = 0
    ended: bool = False
    request: TrainJobRequest | None = None

    def open(self) -> Program[Stream[Any]]:
        """Open the log after the last event seen, or create the job where there is none (repeats find the same job)."""
        if not self.name and self.request is not None:
            self.request.max_events = _TOGETHER
            return (yield from open_stream(TRAIN_JOB, self.request))
        request = WatchTrainJobRequest(name=self.name, after_sequence=self.sequence, max_events=_TOGETHER)
        return (yield from open_stream(WATCH_JOB, request))

    def take(self, event: TrainJobEvent) -> bool:
        """Move past an event; false where it was seen before."""
        if event.sequence <= self.sequence:
            return False
        self.name = event.job or self.name
        self.sequence = event.sequence
        self.ended = self.ended or event.terminal
        return True


def follow(position: Position, policy: RetryPolicy, recorder: Recorder | None = None) -> Flow[TrainJobEvent]:
    """Record and emit the events after `position` until the job has ended, or is paused."""
    recorder = recorder or Recorder()

    def attempt(patience: Patience) -> Flow[TrainJobEvent]:
        stream = yield from position.open()
        while (response := (yield from read(stream))) is not None:
            patience.progress()
            for event in (response.event, *response.more_events):
                yield from _begun(recorder, event.job)
                if position.take(event):
                    yield from _recorded(recorder, event)
                    yield Emit(event)
        if not position.ended and not (yield from _is_over(position)):
            raise Unavailable("the server closed the stream before the job ended")

    try:
        yield from persistently(attempt, policy)
        yield from compute(recorder.close)
    finally:
        recorder.close()  # of whoever lets go, when no more steps can be taken


def watch(position: Position, policy: RetryPolicy, recorder: Recorder) -> Flow[TrainJobEvent]:
    """Follow a job that is there, where its events can be recorded."""
    yield from compute(recorder.check)
    yield from follow(position, policy, recorder)


def _begun(recorder: Recorder, name: str) -> Program[None]:
    """Tell the sinks of the job before its first event: events do not have its name for people."""
    if not recorder.begun:
        job = yield from call(GET_JOB, GetTrainJobRequest(name=name))
        yield from compute(lambda: recorder.begin(job))


def _recorded(recorder: Recorder, event: TrainJobEvent) -> Program[None]:
    if recorder.is_active:
        yield from compute(lambda: recorder.take(event))


def _is_over(position: Position) -> Program[bool]:
    """Ask for the job's state: the terminal event may lie before the point from which the log was read."""
    if not position.name:
        return False
    job = yield from call(GET_JOB, GetTrainJobRequest(name=position.name))
    return job.state in (*TERMINAL, TrainJob.STATE_PAUSED) and job.last_sequence <= position.sequence
