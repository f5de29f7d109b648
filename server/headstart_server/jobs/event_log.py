"""The event log as the server's event loop sees it: written on threads, counted, and watched at the watcher's pace."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Concatenate, ParamSpec
from weakref import WeakValueDictionary

from headstart_server import metrics
from headstart_server.jobs.records import Event, JobRecord
from headstart_server.jobs.states import State
from headstart_server.jobs.store import Appended, JobStore

P = ParamSpec("P")


class EventLog:
    """Every write wakes those who watch its job; a job that nobody watches takes no memory."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._changed: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()
        self.closed = False

    def close(self) -> None:
        """Ends every watch."""
        self.closed = True
        for changed in list(self._changed.values()):
            changed.set()

    async def write(
        self, write: Callable[Concatenate[str, P], Appended], identifier: str, *args: P.args, **kwargs: P.kwargs
    ) -> JobRecord:
        """Calls one of the store's writing methods for a job; returns the job after it."""
        job, appended = await asyncio.to_thread(write, identifier, *args, **kwargs)
        for kind, data in appended:
            if kind in _COUNTED:
                _COUNTED[kind](data)
        changed = self._changed.pop(identifier, None)
        if changed is not None:
            changed.set()
        return job

    async def watch(self, identifier: str, after: int) -> AsyncIterator[Event]:
        """A job's events after a sequence number, then live to its end. Raises NotFoundError."""
        await asyncio.to_thread(self._store.get, identifier)
        while not self.closed:
            changed = self._changed.setdefault(identifier, asyncio.Event())
            events = await asyncio.to_thread(self._store.events, identifier, after)
            for event in events:
                yield event
                after = event.sequence
            if events and events[-1].kind == "state" and State(events[-1].data["to"]).terminal:
                return
            if not events:
                job = await asyncio.to_thread(self._store.get, identifier)
                if job.state.terminal and job.last_sequence <= after:
                    return
                await changed.wait()


def _count_state(data: dict[str, Any]) -> None:
    metrics.JOBS.labels(State(data["to"])).inc()
    if data["from"]:
        metrics.JOBS.labels(State(data["from"])).dec()


_COUNTED: dict[str, Callable[[dict[str, Any]], None]] = {
    "state": _count_state,
    "epoch": lambda data: metrics.TRAINING_SPEED.set(data["rows_per_second"]),
    "encode": lambda data: metrics.count_encoded(data),
}
