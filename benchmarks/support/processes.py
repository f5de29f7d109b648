"""What the processes below this one hold and do: their memory, and moments in which a server's workers hold still."""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_SAMPLE_SECONDS = 4.0
"""Reading what a process holds takes the kernel some 10 ms a gigabyte, of the time that is measured."""
_WORKER = "headstart_server.jobs.worker"


class PeakMemory:
    """The peak of what this process's descendants hold together (Pss), in bytes, sampled."""

    def __init__(self) -> None:
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            self.peak = max(self.peak, sum(map(_held, descendants(os.getpid()))))


class Interludes:
    """Now and then stops a server's workers in their tracks and measures something else on the machine they had.

    A machine that others share runs faster and slower by the minute: what is compared must be measured in turns.
    """

    def __init__(self, seconds_between: float, measure: Callable[[], None]) -> None:
        self.pauses: list[tuple[float, float]] = []
        """(start, end) of each, by time.perf_counter."""
        self._between, self._measure = seconds_between, measure
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Interludes":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def seconds(self, start: float, end: float) -> float:
        """Seconds of pauses between two moments."""
        return sum(max(0.0, min(end, last) - max(start, first)) for first, last in self.pauses)

    def _run(self) -> None:
        while not self._stop.wait(self._between):
            workers = [pid for worker in _workers() for pid in (worker, *descendants(worker))]
            start = time.perf_counter()
            _signal(workers, signal.SIGSTOP)
            try:
                self._measure()
            finally:
                _signal(workers, signal.SIGCONT)
                self.pauses.append((start, time.perf_counter()))


def descendants(root: int) -> list[int]:
    """Process ids of the children of a process, and of theirs."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found, level = [], [root]
    while level:
        level = [child for child, parent in parents.items() if parent in level]
        found += level
    return found


def _workers() -> list[int]:
    found = []
    for pid in descendants(os.getpid()):
        with suppress(OSError):
            if _WORKER in Path(f"/proc/{pid}/cmdline").read_text():
                found.append(pid)
    return found


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _held(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
