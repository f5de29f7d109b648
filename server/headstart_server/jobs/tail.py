"""The end of a job's log, kept in memory for all who watch it."""

import asyncio
from collections import deque
from collections.abc import Sequence

from headstart_server.engines.events import StateChange
from headstart_server.jobs.records import LogEntry

_MOST = 256
PACE = 0.1
"""Seconds between two wakes, but for changes of state: stored epochs take a few milliseconds each."""


def ends(entry: LogEntry) -> bool:
    """Whether a job's log ends with this entry."""
    return isinstance(entry.event, StateChange) and entry.event.to.terminal


class Tail:
    """The last entries, without a gap. Used on one event loop."""

    def __init__(self, pace: float = PACE) -> None:
        self._pace = pace
        self._entries: deque[LogEntry] = deque(maxlen=_MOST)
        self._woken = asyncio.Event()
        self._last_wake = -pace
        self._timer: asyncio.TimerHandle | None = None

    @property
    def ended(self) -> bool:
        """Whether the last entry is the job's last."""
        return bool(self._entries) and ends(self._entries[-1])

    @property
    def last(self) -> int:
        """The number of the last entry; 0 without any."""
        return self._entries[-1].sequence if self._entries else 0

    @property
    def woken(self) -> asyncio.Event:
        """Set at the next wake; taken before the entries are looked at, none goes unnoticed."""
        return self._woken

    def after(self, sequence: int) -> list[LogEntry] | None:
        """The entries after a sequence number; None where they are not all here."""
        if not self._entries or sequence + 1 < self._entries[0].sequence:
            return None
        return [entry for entry in self._entries if entry.sequence > sequence]

    def extend(self, entries: Sequence[LogEntry]) -> None:
        """Adds what was written, and wakes the watchers: at once, or at its pace."""
        if not entries:
            return
        self._keep(entries)
        due = self._last_wake + self._pace - asyncio.get_running_loop().time()
        if due <= 0 or any(isinstance(entry.event, StateChange) for entry in entries):
            self.wake()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(due, self.wake)

    def _keep(self, entries: Sequence[LogEntry]) -> None:
        # two writes that end at about the same time may be heard of in the other order
        last = self._entries[-1].sequence if self._entries else 0
        if entries[0].sequence > last + 1:
            self._entries.clear()
        self._entries.extend(entry for entry in entries if entry.sequence > last)

    def wake(self) -> None:
        """Wakes the watchers."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._last_wake = asyncio.get_running_loop().time()
        self._woken.set()
        self._woken = asyncio.Event()
