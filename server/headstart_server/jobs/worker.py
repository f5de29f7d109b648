"""The worker process: runs one job at a time in a process of its own.

Speaks JSON lines. In: `{"run": {...}}`, `{"cancel": true}`, `{"pause": SECONDS}`, `{"publish": true}`; the end of input
ends the process, so that no worker outlives its server. Out: `{"ready": true}`, `{"event": KIND, "data": {...}}`,
`{"alive": true}`, `{"done": {...}}`.
"""

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

import structlog

from headstart_server import tracing
from headstart_server.core.errors import CancelledError, HeadstartError, PausedError
from headstart_server.core.logs import configure_logs
from headstart_server.core.memory import ran_out_of_memory
from headstart_server.core.priority import lower_priority
from headstart_server.core.reasons import Reason
from headstart_server.core.states import State
from headstart_server.engines.envelopes import JobEnvelope, job_envelope
from headstart_server.engines.events import JobEvent, ModelPublished, StateChange, to_plain

_log = structlog.get_logger()
_STAGES = {
    State.PREPARING: "prepare",
    State.ENCODING: "encode",
    State.TRAINING: "train",
    State.PUBLISHING: "publish",
}
"""What spans are called."""
_ALIVE_SECONDS = 10.0
_LEAVING_SECONDS = 2.0
_ASK_SECONDS = 0.2
_NICE = 2
"""Jobs yield to the server, whose answers somebody waits for, and exports to jobs. Alone, a job has all cores."""


def main() -> None:
    """Warms up, then serves jobs from standard input."""
    out = outgoing()
    lower_priority(_NICE)
    configure_logs(json_lines=True)
    tracing.configure()
    Worker(sys.stdin, out).serve()


def outgoing() -> TextIO:
    """Where messages go, which no library knows: whatever one prints goes to the log."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


class Worker:
    """One process's side of the conversation."""

    def __init__(self, incoming: TextIO, outgoing: TextIO) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._write_lock = threading.Lock()
        self._jobs: queue.Queue[dict[str, Any]] = queue.Queue()
        self.cancelled = threading.Event()
        self.pause_until = float("inf")
        """When a job that is to pause stops without a checkpoint, by the monotonic clock; infinity: it goes on."""
        self.may_publish = threading.Event()
        """Set once the server's store has taken it that this attempt publishes."""

    def serve(self) -> None:
        """Runs jobs until the input ends."""
        # before the warm-up, so that the process ends with its server even then
        threading.Thread(target=self._read, daemon=True).start()
        self.warm_up()
        self.send({"ready": True})
        while True:
            self.send({"done": self.run(self._jobs.get())})
            tracing.flush()

    def warm_up(self) -> None:
        """Imports what is heavy, before the first job."""
        from headstart_server.jobs.warm import warm_up

        warm_up()

    def leave(self) -> None:
        """The server has gone, or needs this process no longer."""
        # the job's own thread may be at it, which ends with this process
        tracing.flush(_LEAVING_SECONDS)
        # called by the thread that reads, which alone sys.exit would end
        os._exit(0)

    def send(self, message: dict[str, Any]) -> None:
        """Writes one line."""
        with self._write_lock:
            self._outgoing.write(json.dumps(message) + "\n")
            self._outgoing.flush()

    def _read(self) -> None:
        for line in self._incoming:
            message = json.loads(line)
            if "run" in message:
                # what was asked so far was of the job before; the server repeats what came before its job
                self.cancelled.clear()
                self.pause_until = float("inf")
                self.may_publish.clear()
                self._jobs.put(message["run"])
            elif "publish" in message:
                self.may_publish.set()
            elif "pause" in message:
                self.pause_until = min(self.pause_until, time.monotonic() + message["pause"])
            else:
                self.cancelled.set()
        self.leave()

    def run(self, plain: dict[str, Any]) -> dict[str, Any]:
        """Runs one job; returns how it ended."""
        from headstart_server.engines.runtime_context import release_idle_spaces

        structlog.contextvars.bind_contextvars(job=plain["identifier"])
        try:
            envelope = job_envelope(plain)
            with (
                tracing.span("job", envelope.trace, {"headstart.job": envelope.identifier}),
                JobListener(self) as told,
            ):
                run_job(envelope, told)
                # with the end, of which it is a part: neither is known without the other
                return {"state": "SUCCEEDED", "published": told.published}
        except CancelledError:
            return {"state": "CANCELLED"}
        except PausedError:
            return {"state": "PAUSED"}
        except HeadstartError as error:
            _log.warning("job failed", reason=error.reason, message=error.message)
            return _failed(error.reason, error.message, error.field)
        except Exception as error:  # noqa: BLE001 - the boundary of the process: logged whole, reported in brief
            _log.exception("job failed unexpectedly")
            if ran_out_of_memory(error):
                return _failed(Reason.OUT_OF_MEMORY, "the worker ran out of memory; use less data or smaller batches")
            return _failed(
                Reason.INTERNAL,
                f"the training failed unexpectedly ({type(error).__name__}); the server's log has the details",
            )
        finally:
            release_idle_spaces(0.0)  # whoever learns that the job has ended may delete what it used
            structlog.contextvars.clear_contextvars()


def run_job(envelope: JobEnvelope, listener: "JobListener") -> str:
    """Runs a job on the engine that its spec names, which tells the listener of the model; returns the model's id."""
    from headstart_server.engines.job_context import job_context_of
    from headstart_server.engines.runtime_context import runtime_of

    runtime = runtime_of(envelope.runtime)
    listener.report(StateChange(State.PREPARING))
    job = job_context_of(envelope, runtime.storage)
    if job.spec.backend.type == "ray":
        # Ray is an extra, which need not be installed
        from headstart_server.engines.ray.engine import RayEngine

        return RayEngine(envelope, job, runtime, listener).run()
    from headstart_server.engines.local import LocalEngine

    return LocalEngine(job, runtime, listener).run()


def _failed(reason: str, message: str, field: str = "") -> dict[str, Any]:
    return {"state": "FAILED", "error": {"reason": reason, "message": message, "field": field}}


class JobListener:
    """Turns what the engine reports into messages, and stages into spans. Use as a context."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._state: State | None = None
        self._trace = tracing.carrier()
        self._end_stage: Callable[[], None] | None = None
        self._heard = time.monotonic()
        self.published: dict[str, Any] = {}
        """What is known of the model, once there is one."""

    def __enter__(self) -> "JobListener":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        """Ends the span of the stage that the job was in."""
        if self._end_stage is not None:
            self._end_stage()
        self._end_stage = None

    def check(self) -> None:
        """Raises CancelledError when the job was cancelled, and PausedError when it is to pause and nothing is lost by
        that, or has taken too long to come to a checkpoint. Tells the server now and then that the job is alive."""
        if self._worker.cancelled.is_set():
            raise CancelledError("the job was cancelled")
        now = time.monotonic()
        # of what was read and encoded nothing is lost; what is published is about to end
        keeps_all = self._state not in (State.TRAINING, State.PUBLISHING)
        if now >= self._worker.pause_until or (self.stopping() and keeps_all):
            raise PausedError("the job was paused")
        if now - self._heard >= _ALIVE_SECONDS:
            self._heard = now
            self._worker.send({"alive": True})

    def stopping(self) -> bool:
        """Whether the job is to stop at its next checkpoint."""
        return self._worker.pause_until < float("inf")

    def report(self, event: JobEvent) -> None:
        """Sends an event; a state that the job is in already is none. Raises as `check` instead of a new state.

        The model is kept for the end.
        """
        if isinstance(event, ModelPublished):
            self.published = to_plain(event)[1]
            return
        if isinstance(event, StateChange):
            self.check()
            if event.to == self._state:
                return
            self._state = event.to
            self._end()
            self._end_stage = tracing.begin(_STAGES.get(event.to, event.to.lower()), self._trace)
        kind, data = to_plain(event)
        self._heard = time.monotonic()
        self._worker.send({"event": kind, "data": data})
        if isinstance(event, StateChange) and event.to is State.PUBLISHING:
            # Nobody else fences what is published: an attempt that stood still, and whose job is another server's by
            # now, has its report refused, and is ended while it waits here.
            while not self._worker.may_publish.wait(_ASK_SECONDS):
                self.check()


if __name__ == "__main__":
    main()
