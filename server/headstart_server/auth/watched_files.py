"""Files that are read again when they change: what cannot be used is told, and what was read before stays."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import structlog

from headstart_server import metrics
from headstart_server.core.errors import HeadstartError
from headstart_server.core.executors import Executor

T = TypeVar("T")
_log = structlog.get_logger()
_SECONDS = 2.0
"""Between two looks."""


class WatchedFiles(Generic[T]):
    """What a function makes of some files, as they were when they were last fit for use."""

    def __init__(self, kind: str, paths: Sequence[Path], read: Callable[[], T]) -> None:
        """Reads them; raises what `read` does."""
        self.kind, self._paths, self._read = kind, paths, read
        self._seen = self._state()
        self.value = read()
        metrics.RELOAD_SUCCESSFUL.labels(kind).set(1)

    def look(self) -> None:
        """Reads the files if they are others than at the last look."""
        # taken before reading: what changes meanwhile is seen by the next look
        state = self._state()
        if state == self._seen:
            return
        self._seen = state
        try:
            self.value = self._read()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with them, those before are in use
            metrics.RELOAD_SUCCESSFUL.labels(self.kind).set(0)
            said = {"error": error.message} if isinstance(error, HeadstartError) else {"exc_info": error}
            _log.error("changed files cannot be used; those before stay in use", kind=self.kind, **said)
            return
        metrics.RELOAD_SUCCESSFUL.labels(self.kind).set(1)
        _log.info("changed files are in use", kind=self.kind)

    def _state(self) -> list[tuple[int, int, int] | None]:
        return [_state_of(path) for path in self._paths]


def _state_of(path: Path) -> tuple[int, int, int] | None:
    """What changes whenever the file does; None where there is none."""
    try:
        found = path.stat()
    except OSError:  # told by whoever reads it
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


async def keep_current(files: Sequence[WatchedFiles[Any]], threads: Executor, seconds: float = _SECONDS) -> None:
    """Looks at the files again and again, until it is cancelled."""
    while True:
        await asyncio.sleep(seconds)
        for each in files:
            await threads.run(each.look)
