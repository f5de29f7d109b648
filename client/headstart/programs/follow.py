"""Follow a job's log over dropped streams, each event exactly once and in order."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.errors import Unavailable
from headstart.programs.retry import Patience, RetryPolicy, persistently
from headstart.v1.training_pb2 import (
    GetTrainJobRequest,
    TrainJob,
    TrainJobEvent,
    TrainJobRequest,
    WatchTrainJobRequest,
)
from headstart.wire.methods import GET_JOB, TRAIN_JOB, WATCH_JOB
from headstart.wire.steps import Emit, Flow, Program, Stream, call, open_stream, read

TERMINAL = frozenset({TrainJob.STATE_SUCCEEDED, TrainJob.STATE_FAILED, TrainJob.STATE_CANCELLED})


@dataclass
class Position:
    """How far a job's log has been read. `request` creates the job where its name is not known yet."""

    name: str = ""
    sequence: int = 0
    ended: bool = False
    request: TrainJobRequest | None = None

    def open(self) -> Program[Stream[TrainJobEvent]]:
        """Open the log after the last event seen, or create the job where there is none (repeats find the same job)."""
        if not self.name and self.request is not None:
            return (yield from open_stream(TRAIN_JOB, self.request))
        request = WatchTrainJobRequest(name=self.name, after_sequence=self.sequence)
        return (yield from open_stream(WATCH_JOB, request))

    def take(self, event: TrainJobEvent) -> bool:
        """Move past an event; false where it was seen before."""
        if event.sequence <= self.sequence:
            return False
        self.name = event.job or self.name
        self.sequence = event.sequence
        self.ended = self.ended or event.state_change.to in TERMINAL
        return True


def follow(position: Position, policy: RetryPolicy) -> Flow[TrainJobEvent]:
    """Emit the events after `position` until the job has ended, or is paused."""

    def attempt(patience: Patience) -> Flow[TrainJobEvent]:
        stream = yield from position.open()
        while (event := (yield from read(stream))) is not None:
            patience.progress()
            if position.take(event):
                yield Emit(event)
        if not position.ended and not (yield from _is_over(position)):
            raise Unavailable("the server closed the stream before the job ended")

    yield from persistently(attempt, policy)


def _is_over(position: Position) -> Program[bool]:
    """Ask for the job's state: the terminal event may lie before the point from which the log was read."""
    if not position.name:
        return False
    job = yield from call(GET_JOB, GetTrainJobRequest(name=position.name))
    return job.state in (*TERMINAL, TrainJob.STATE_PAUSED) and job.last_sequence <= position.sequence
