"""Follows one worker through one job: what it reports is written to the log in batches."""

import asyncio
from typing import Any

import structlog

from headstart_server.core.states import State
from headstart_server.engines.envelopes import JobEnvelope, to_plain
from headstart_server.engines.events import from_plain
from headstart_server.jobs.event_log import EventLog
from headstart_server.jobs.process import WorkerProcess
from headstart_server.jobs.store import JobStore

_log = structlog.get_logger()
_PENDING_REPORTS = 256
_Messages = asyncio.Queue[dict[str, Any] | None]


async def follow(worker: WorkerProcess, envelope: JobEnvelope, store: JobStore, log: EventLog) -> dict[str, Any] | None:
    """Runs a job on a worker; returns how the job ended, or None if the worker died.

    What has come in while the last reports were written is written next, in one transaction: epochs of a few
    milliseconds report faster than a disk can sync. A full queue makes the worker wait. A job that was cancelled
    behind the worker's back is cancelled there at its next report.
    """
    messages = _Messages(_PENDING_REPORTS)
    pump = asyncio.create_task(_pump(worker, envelope, messages))
    try:
        while (message := await messages.get()) is not None:
            batch = [message]
            while not messages.empty() and "done" not in batch[-1]:
                following = messages.get_nowait()
                if following is None:
                    # the mark of the end is taken again once this batch is written
                    messages.put_nowait(None)
                    break
                batch.append(following)
            events = [item["event"] for item in batch if "event" in item]
            job = await log.write(store.append_reports, envelope.identifier, events)
            if job.state is State.CANCELLING or job.state.terminal:
                worker.cancel()
            if "done" in batch[-1]:
                done: dict[str, Any] = batch[-1]["done"]
                return done
        return None
    finally:
        pump.cancel()


async def _pump(worker: WorkerProcess, envelope: JobEnvelope, messages: _Messages) -> None:
    """Moves a worker's messages into a bounded queue, its events as such; None says that there are no more."""
    try:
        async for message in worker.run(to_plain(envelope)):
            if "event" in message:
                message = {"event": from_plain(message["event"], message.get("data", {}))}
            await messages.put(message)
    except (ValueError, TypeError, OSError):
        _log.exception("worker speaks nonsense", job=envelope.identifier)
        worker.kill()
    # after nonsense, too: `follow` would wait for ever
    await messages.put(None)
