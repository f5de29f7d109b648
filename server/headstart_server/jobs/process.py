"""Worker processes as the server sees them: spawn, wait until warm, run, cancel, kill."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from headstart_server import metrics
from headstart_server.core.memory import oom_kills

_log = structlog.get_logger()
# asyncio's readline raises ValueError for a longer line; its default of 64 KiB is less than an event may take
_LINE_LIMIT = 8 << 20
_WORKER = (sys.executable, "-m", "headstart_server.jobs.worker")


@dataclass(frozen=True)
class ProcessSettings:
    """What a worker process runs, and how long it may take over it."""

    command: Sequence[str] = _WORKER
    purpose: str = "job"
    """Of metrics: `job` or `export`."""
    ready_seconds: float = 300.0
    exit_seconds: float = 5.0


@dataclass(frozen=True)
class Death:
    """How a process ended."""

    text: str
    """For people, with the process as its subject."""
    memory: bool = False
    """Whether the system killed it for want of memory."""


class WorkerStartError(RuntimeError):
    """Worker processes end before they are ready, one after the other."""

    def __init__(self, how: str) -> None:
        super().__init__(f"worker processes do not start: the last one {how}")
        self.how = how
        """How the last one ended, with it as the subject."""


class WorkerProcess:
    """One spawned interpreter running `jobs.worker`."""

    def __init__(self, process: asyncio.subprocess.Process, settings: ProcessSettings) -> None:
        self._process, self._settings = process, settings
        self._ready = False
        self._oom_kills = oom_kills()
        """Of the machine or container, when the job began."""
        self.jobs_done = 0

    @classmethod
    async def spawn(cls, settings: ProcessSettings) -> "WorkerProcess":
        """Starts a process; it imports torch while the server goes on."""
        process = await asyncio.create_subprocess_exec(
            *settings.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_LIMIT,
            start_new_session=True,  # a group that `kill` ends as one, and that Ctrl-C at the server does not reach
            env={**os.environ, "TOKENIZERS_PARALLELISM": "true"},
        )
        return cls(process, settings)

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def run(self, envelope: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Hands a job over and yields its messages; the last is `done`. Ends early if the process dies.

        Raises ValueError for a line that is no message.
        """
        self._oom_kills = oom_kills()
        self._send({"run": envelope})
        while (message := await self._receive()) is not None:
            yield message
            if "done" in message:
                self.jobs_done += 1
                return

    async def wait_ready(self) -> bool:
        """Reads until the worker is warm; False, and the process killed, if it dies, hangs or speaks nonsense."""
        try:
            async with asyncio.timeout(self._settings.ready_seconds):
                while not self._ready and (message := await self._receive()) is not None:
                    self._ready = bool(message.get("ready"))
        except (ValueError, TimeoutError) as error:
            _log.warning("worker does not get ready", pid=self.pid, error=repr(error)[:200])
        finally:
            # reached by a caller who is cancelled, too: nobody else would end the process
            if not self._ready:
                self.kill()
        return self._ready

    def cancel(self) -> None:
        """Asks the running job to stop."""
        if self.alive:
            self._send({"cancel": True})

    def pause(self, within: float) -> None:
        """Asks the running job to stop at its next checkpoint, or after so many seconds without one."""
        if self.alive:
            self._send({"pause": within})

    def publish(self) -> None:
        """Lets the running job publish: the store has taken it that it does."""
        if self.alive:
            self._send({"publish": True})

    def kill(self) -> None:
        """Ends the process and whatever it started, at once."""
        # the group outlives its leader: what a dead worker started is ended as well
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    async def stop(self) -> None:
        """Lets the process end by closing its input; kills it if it does not."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), self._settings.exit_seconds)
        except TimeoutError:
            self.kill()
            await self._process.wait()

    async def how_it_died(self) -> Death:
        """By which signal or exit code, and whether memory had run out."""
        code = await self._process.wait()
        if code == -signal.SIGKILL and oom_kills() > self._oom_kills:
            return Death("was killed by the system, whose memory had run out", memory=True)
        return Death(f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}")

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        # not drained, so that `cancel` is no coroutine: the transport keeps what the pipe does not take yet
        self._process.stdin.write((json.dumps(message) + "\n").encode())

    async def _receive(self) -> dict[str, Any] | None:
        """The next message; None at the end of the output. Raises ValueError for a line that is none."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            return None
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ValueError(f"{line[:80]!r} is no message")  # noqa: TRY004 - as any other bad line
        return message


class WorkerPool:
    """Keeps warm workers. A worker that ended a job cleanly is used again; any other is replaced."""

    def __init__(self, warm: int, jobs_per_worker: int = 50, process: ProcessSettings | None = None) -> None:
        self._warm, self._jobs_per_worker = warm, jobs_per_worker
        self._process = process or ProcessSettings()
        self._idle: list[WorkerProcess] = []
        self._spawned: list[WorkerProcess] = []
        for counter in (metrics.WORKER_STARTS, metrics.WORKER_DEATHS):
            counter.labels(self._process.purpose)  # from 0 on, so that the first is an increase
        self._starting = 0
        self._closed = False

    async def start(self) -> None:
        """Spawns the warm workers without waiting for them."""
        await self._top_up()

    async def take(self) -> WorkerProcess:
        """A warm worker; raises WorkerStartError where three in a row do not start."""
        how = ""
        for _ in range(3):
            worker = self._idle.pop(0) if self._idle else await self._spawn()
            if worker.alive and await worker.wait_ready():
                return worker
            metrics.WORKER_DEATHS.labels(self._process.purpose).inc()
            how = (await worker.how_it_died()).text
            _log.warning("worker did not start", how=how)
        raise WorkerStartError(how)

    async def give_back(self, worker: WorkerProcess, *, clean: bool) -> None:
        """Keeps a worker for the next job, or ends it and spawns another."""
        if clean and worker.alive and not self._closed and worker.jobs_done < self._jobs_per_worker:
            # first in line, since it is ready, while others may still import
            self._idle.insert(0, worker)
            # one is kept even where none is kept warm (docs/decisions/0001)
            while len(self._idle) > max(1, self._warm):
                await self._idle.pop().stop()
            return
        await worker.stop()
        await self._top_up()

    async def close(self) -> None:
        """Ends every idle worker."""
        self._closed = True
        await self._end(len(self._idle))

    async def release(self) -> None:
        """Ends idle workers beyond those that are kept warm."""
        await self._end(max(0, len(self._idle) - self._warm))

    @property
    def pids(self) -> list[int]:
        """Of the processes that live; each leads a group with what it started."""
        return [worker.pid for worker in list(self._spawned) if worker.alive]

    async def _spawn(self) -> WorkerProcess:
        worker = await WorkerProcess.spawn(self._process)
        self._spawned = [*(other for other in self._spawned if other.alive), worker]
        metrics.WORKER_STARTS.labels(self._process.purpose).inc()
        return worker

    async def _end(self, count: int) -> None:
        idle, self._idle = self._idle[:count], self._idle[count:]
        await asyncio.gather(*(worker.stop() for worker in idle))

    async def _top_up(self) -> None:
        while not self._closed and len(self._idle) + self._starting < self._warm:
            self._starting += 1
            try:
                worker = await self._spawn()
            finally:
                self._starting -= 1
            if self._closed:
                await worker.stop()
            else:
                self._idle.append(worker)
