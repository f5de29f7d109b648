"""Follows one worker through one job: what it reports is written to the log in batches."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from headstart_server.engines.envelopes import JobEnvelope, to_plain
from headstart_server.engines.events import JobEvent, from_plain
from headstart_server.jobs.process import WorkerProcess

_log = structlog.get_logger()
_PENDING_REPORTS = 256
_Messages = asyncio.Queue[dict[str, Any] | None]
Write = Callable[[str, Sequence[JobEvent]], Awaitable[None]]
"""Writes what a worker has reported of a job."""


@dataclass(frozen=True)
class Silence:
    """How long a worker may say nothing, in seconds, and what is done then; 0: it may be silent without end."""

    seconds: float
    broken: Callable[[], None]


async def follow(worker: WorkerProcess, envelope: JobEnvelope, write: Write, silence: Silence) -> dict[str, Any] | None:
    """Runs a job on a worker; returns how the job ended, or None if the worker died. Raises what `write` raises.

    What has come in while the last reports were written is written next, in one transaction: epochs of a few
    milliseconds report faster than a disk can sync. A full queue makes the worker wait, as long as the store is away.
    """
    messages = _Messages(_PENDING_REPORTS)
    pump = asyncio.create_task(_pump(worker, envelope, messages, silence))
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
            if events:
                await write(envelope.identifier, events)
            if "done" in batch[-1]:
                done: dict[str, Any] = batch[-1]["done"]
                return done
        return None
    finally:
        pump.cancel()


async def _pump(worker: WorkerProcess, envelope: JobEnvelope, messages: _Messages, silence: Silence) -> None:
    """Moves a worker's messages into a bounded queue, its events as such; None says that there are no more."""
    following = aiter(worker.run(to_plain(envelope)))
    try:
        while (message := await _next(following, silence)) is not None:
            if "alive" in message:
                continue
            if "event" in message:
                message = {"event": from_plain(message["event"], message.get("data", {}))}
            await messages.put(message)
    except (ValueError, TypeError, OSError):
        _log.exception("worker speaks nonsense", job=envelope.identifier)
        worker.kill()
    # after nonsense, too: `follow` would wait for ever
    await messages.put(None)


async def _next(following: Any, silence: Silence) -> dict[str, Any] | None:
    """A worker's next message; None when it has no more, or said nothing for too long. Raises what it raises."""
    try:
        message: dict[str, Any] = await asyncio.wait_for(anext(following), silence.seconds or None)
        return message
    except StopAsyncIteration:
        return None
    except TimeoutError:
        silence.broken()
        return None
