"""Jobs without training: records, reports, and workers that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from headstart_server.core.names import new_id
from headstart_server.core.states import State
from headstart_server.engines.events import ModelPublished, to_plain
from headstart_server.jobs.process import Death, WorkerStartError
from headstart_server.jobs.records import JobRecord
from headstart_server.training.reports import EpochReport, StepReport

Message = dict[str, Any]
Script = Callable[["FakeWorker"], AsyncIterator[Message]]
PUBLISHED: Message = to_plain(ModelPublished("m", EpochReport(1, 1, {}, {})))[1]
SUCCEEDED: Message = {"done": {"state": "SUCCEEDED", "published": PUBLISHED}}
PAUSED: Message = {"done": {"state": "PAUSED"}}
CANCELLED: Message = {"done": {"state": "CANCELLED"}}


def job_record(**changes: Any) -> JobRecord:
    """A new job."""
    now = datetime.now(UTC)
    record = JobRecord(new_id(), "", "digest", "", State.QUEUED, now, now, spec={}, sources=[])
    return replace(record, **changes)


def state(to: str) -> Message:
    """A worker says that its job entered a state; what it was before, it does not know."""
    return {"event": "state", "data": {"from": "", "to": to}}


def step_report(number: int) -> StepReport:
    """Some progress."""
    return StepReport(1, number, 1_000, 0.5, 1e-3, 100.0, 1.0)


def step(number: int) -> Message:
    """A worker says that it made some progress."""
    kind, data = to_plain(step_report(number))
    return {"event": kind, "data": data}


def failed(reason: str) -> Message:
    """A job that ended with an error."""
    return {"done": {"state": "FAILED", "error": {"reason": reason, "message": "why", "field": ""}}}


def says(*messages: Message) -> Script:
    """A worker that says this and no more: without `done`, it has died."""

    async def script(_: FakeWorker) -> AsyncIterator[Message]:
        for message in messages:
            yield message

    return script


def succeeds(*messages: Message) -> Script:
    """A worker that goes through every state."""
    return says(*map(state, ("PREPARING", "TRAINING")), *messages, state("PUBLISHING"), SUCCEEDED)


async def trains_until_cancelled(worker: FakeWorker) -> AsyncIterator[Message]:
    """A worker that stops when asked."""
    yield state("PREPARING")
    yield state("TRAINING")
    await worker.cancelled.wait()
    yield CANCELLED


async def trains_until_paused(worker: FakeWorker) -> AsyncIterator[Message]:
    """A worker that comes to a checkpoint when asked."""
    yield state("PREPARING")
    yield state("TRAINING")
    await worker.paused.wait()
    yield PAUSED


async def hangs(worker: FakeWorker) -> AsyncIterator[Message]:
    """A worker that reads nothing until it is killed."""
    yield state("PREPARING")
    await worker.killed.wait()


class FakeWorker:
    """Plays one script per job; remembers what happened to it."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self.jobs: list[str] = []
        self.envelopes: list[Message] = []
        self.cancelled, self.killed, self.paused = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.may_publish = asyncio.Event()
        self.pauses: list[float] = []
        self.death = Death("exited with code 3")
        self.stopped = False

    async def run(self, job: Message) -> AsyncIterator[Message]:
        """Play the next script, as a process would, until it is killed: a cancellation before the job is forgotten."""
        self.cancelled.clear()
        self.may_publish.clear()
        self.jobs.append(job["identifier"])
        self.envelopes.append(job)
        said = self._scripts.pop(0)(self)
        killed = asyncio.ensure_future(self.killed.wait())
        try:
            while True:
                following = asyncio.ensure_future(anext(said, None))
                await asyncio.wait([following, killed], return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    following.cancel()
                    return
                if (message := following.result()) is None:
                    return
                yield message
        finally:
            killed.cancel()

    def cancel(self) -> None:
        """Take note."""
        self.cancelled.set()

    def pause(self, within: float) -> None:
        """Take note."""
        self.pauses.append(within)
        self.paused.set()

    def publish(self) -> None:
        """Take note."""
        self.may_publish.set()

    def kill(self) -> None:
        """Die."""
        self.killed.set()

    async def stop(self) -> None:
        """End."""
        self.stopped = True

    async def how_it_died(self) -> Death:
        """Explain."""
        return self.death


class FakePool:
    """Hands out workers made of scripts; remembers which came back clean. `room` holds a taker back while clear."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = list(scripts)
        self.taken: list[FakeWorker] = []
        self.returned: list[bool] = []
        self.asked = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()
        self.fails = 0
        """Takers who get no worker, as none starts."""

    async def start(self) -> None:
        """Nothing to warm up."""

    async def close(self) -> None:
        """Nothing to end."""

    async def take(self) -> FakeWorker:
        """A worker for one job."""
        self.asked.set()
        await self.room.wait()
        if self.fails:
            self.fails -= 1
            raise WorkerStartError("was killed by SIGKILL")
        worker = FakeWorker(self._scripts.pop(0)) if self._scripts else FakeWorker(succeeds())
        self.taken.append(worker)
        return worker

    async def give_back(self, worker: FakeWorker, *, clean: bool) -> None:
        """Remember."""
        self.returned.append(clean)
