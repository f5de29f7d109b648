"""Whether the server can do what it is asked: the job database, its queue and the storage, tried every few seconds."""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

from headstart_server import metrics
from headstart_server.core.errors import HeadstartError, StorageError, StoreFullError, UnavailableError
from headstart_server.core.executors import Executor
from headstart_server.core.files import disk_full_named
from headstart_server.jobs.store import JobStore
from headstart_server.jobs.supervisor import Supervisor
from headstart_server.storage.storage import Storage

_log = structlog.get_logger()
_PROBE_BYTES = 64 << 10
"""More than a disk that calls itself full keeps in the last blocks of its files."""
_MARK_SECONDS = 300.0
"""Between two writes to a bucket; in between it is only looked at."""
NEEDS: Mapping[str, tuple[str, ...]] = {
    "TrainingService": ("database", "queue", "storage"),
    "DatasetService": ("database", "storage"),
    "ExportService": ("database", "storage"),
    "EmbeddingService": ("storage",),
    # a model that is in memory answers, whatever else is away
    "PredictionService": (),
    # aliases, and what people say of models, are in the database
    "ModelService": ("database", "storage"),
    "GRPCInferenceService": (),
    "ServerService": (),
}
"""What each service cannot do without."""


@dataclass(frozen=True)
class Ready:
    """What works, by dependency: an empty text, or what is wrong."""

    found: Mapping[str, str]

    def __bool__(self) -> bool:
        return not any(self.found.values())

    def of(self, service: str) -> bool:
        """Whether all that a service needs works."""
        return not any(self.found.get(need) for need in NEEDS[service])

    @property
    def missing(self) -> list[str]:
        """What does not work, and why, for people."""
        return [f"{name}: {wrong}" for name, wrong in self.found.items() if wrong]


class Readiness:
    """Runs on the server's event loop; tells `report` at first, and whenever something has changed."""

    def __init__(
        self,
        jobs: JobStore,
        supervisor: Supervisor,
        storage: Storage,
        threads: Executor,
        report: Callable[[Ready], Awaitable[None]],
        *,
        period: float = 5.0,
        patience: float = 5.0,
        queue_seconds: float = 60.0,
    ) -> None:
        self._supervisor, self._threads, self._report = supervisor, threads, report
        self._period, self._patience, self._queue_seconds = period, patience, queue_seconds
        self._storage, self._marked = storage, float("-inf")
        self._probes = {"database": jobs.ping, "storage": self._write}
        self._running: dict[str, asyncio.Future[str]] = {}
        self._known: Ready | None = None
        for name in ("database", "queue", "storage"):
            metrics.READY.labels(name)

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._period)

    async def look(self) -> Ready:
        """Tries everything once."""
        found = {name: await self._tried(name) for name in self._probes}
        silent = self._supervisor.silent_seconds
        late = silent > self._queue_seconds
        found["queue"] = f"the job database has not answered a heartbeat for {silent:.0f} seconds" if late else ""
        ready = Ready(found)
        for name, wrong in found.items():
            metrics.READY.labels(name).set(not wrong)
        if ready != self._known:
            if self._known is not None or not ready:
                _log.warning("readiness changed", missing=ready.missing)
            self._known = ready
            await self._report(ready)
        return ready

    async def _tried(self, name: str) -> str:
        """What is wrong with a dependency. One that still hangs since the last look is not asked again."""
        running = self._running.get(name)
        if running is None or running.done():
            running = self._running[name] = asyncio.ensure_future(self._called(name))
        done, _ = await asyncio.wait([running], timeout=self._patience)
        return running.result() if done else f"no answer within {self._patience:g} seconds"

    async def _called(self, name: str) -> str:
        try:
            await self._threads.run(self._probes[name])
        except (UnavailableError, StoreFullError, StorageError) as error:
            return error.message
        except Exception as error:  # noqa: BLE001 - whatever it is, what is asked does not work
            if not isinstance(error, HeadstartError | OSError):
                _log.exception("a probe failed unexpectedly", of=name)
            return str(error) or type(error).__name__
        return ""

    def _write(self) -> None:
        """Writes a little where everything is written, and takes it away again."""
        root = self._storage.layout.root
        with disk_full_named(root), tempfile.NamedTemporaryFile(dir=root, prefix=".ready.") as file:
            file.write(b"\0" * _PROBE_BYTES)
            file.flush()
            os.fsync(file.fileno())
        self._look_at_storage()

    def _look_at_storage(self) -> None:
        """Writes to what machines share, to a bucket every few minutes: one with versions would keep each mark."""
        now, marked = time.monotonic(), self._marked
        self._marked = float("-inf")  # until it has worked: what fails is written to again when it is back
        if self._storage.in_bucket and now - marked < _MARK_SECONDS:
            self._storage.look()
        else:
            self._storage.mark()
            marked = now
        self._marked = marked
