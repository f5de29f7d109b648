"""What is measured when somebody scrapes: what lies in the job database, in files, and in other processes."""

import platform
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from os import sysconf
from pathlib import Path

import torch

from headstart_server import metrics
from headstart_server.core.executors import Executors
from headstart_server.core.layout import Layout
from headstart_server.core.states import State
from headstart_server.core.versions import own_version
from headstart_server.jobs.exports import Exports
from headstart_server.jobs.store import JobStore
from headstart_server.jobs.supervisor import Supervisor
from headstart_server.readings import Reading, Readings
from headstart_server.settings import Settings

_FILE_SECONDS = 15.0
"""For how long a walk over the store's files is good."""
_PROCESS_SECONDS = 5.0


def readings_of(
    settings: Settings,
    layout: Layout,
    jobs: JobStore,
    supervisor: Supervisor,
    exports: Exports,
    executors: Executors,
) -> list[Readings]:
    """All sources of one server."""
    pids = {"job": lambda: supervisor.worker_pids, "export": lambda: exports.worker_pids}
    return [
        Readings("limits", lambda: _limits(settings, executors), _FILE_SECONDS),
        Readings("queue", lambda: _queue(executors)),
        Readings("jobs", lambda: job_readings(jobs), 1.0),
        Readings("exports", lambda: [(metrics.EXPORTS_IN_PROGRESS, (), exports.unfinished())], 1.0),
        Readings("store", lambda: store_readings(layout.embedding_stores()), _FILE_SECONDS),
        Readings("disk", lambda: _disk(layout.root), _PROCESS_SECONDS),
        Readings("workers", lambda: worker_readings(pids), _PROCESS_SECONDS),
        Readings("gpus", gpu_readings, _PROCESS_SECONDS),
    ]


def job_readings(jobs: JobStore) -> Iterator[Reading]:
    """Jobs by state, as the job store has them, whoever wrote them."""
    found = jobs.states()
    for state in State:
        yield metrics.JOBS, (state,), found[state].jobs if state in found else 0
    queued = found.get(State.QUEUED)
    yield metrics.QUEUE_JOBS, (), queued.jobs if queued is not None else 0
    waited = (datetime.now(UTC) - queued.since).total_seconds() if queued is not None else 0.0
    yield metrics.QUEUE_OLDEST, (), max(0.0, waited)


def store_readings(roots: list[Path]) -> Iterator[Reading]:
    """What the files of all embedding stores take on this machine."""
    sizes = [size for root in roots for size in _sizes(root.glob("*/shards/[!.]*.safetensors"))]
    yield metrics.STORE_BYTES, (), sum(sizes)
    yield metrics.STORE_SHARDS, (), len(sizes)
    yield metrics.STORE_QUARANTINED, (), sum(1 for root in roots for _ in root.glob("*/quarantine/*"))


def worker_readings(pids: dict[str, Callable[[], list[int]]]) -> Iterator[Reading]:
    """Worker processes, and the memory of the groups that they lead."""
    resident = _resident_by_group()
    for purpose, living in pids.items():
        leaders = living()
        yield metrics.WORKERS, (purpose,), len(leaders)
        yield metrics.WORKER_MEMORY, (purpose,), sum(resident.get(leader, 0) for leader in leaders)


def gpu_readings() -> Iterator[Reading]:
    """The memory of each GPU, once the server uses one."""
    # asked before, a GPU would hold a context of this process for the sake of the question
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return
    for device in range(torch.cuda.device_count()):
        free, size = torch.cuda.mem_get_info(device)
        yield metrics.GPU_USED, (str(device),), size - free
        yield metrics.GPU_SIZE, (str(device),), size
        yield metrics.GPU_ALLOCATED, (str(device),), torch.cuda.memory_allocated(device)


def _limits(settings: Settings, executors: Executors) -> Iterator[Reading]:
    yield metrics.BUILD, (own_version(), platform.python_version(), torch.__version__), 1
    yield metrics.QUEUE_LIMIT, (), settings.max_queued_jobs
    yield metrics.CONCURRENT_JOBS, (), settings.concurrent_jobs
    yield metrics.EXPORTS_LIMIT, (), settings.concurrent_exports
    yield metrics.STORE_LIMIT, (), settings.max_store_bytes
    yield metrics.CACHE_LIMIT, (), settings.max_cache_bytes
    yield metrics.POOL_LIMIT, (), settings.model_pool_bytes
    for executor in executors.all:
        yield metrics.EXECUTOR_LIMIT, (executor.name,), executor.most


def _queue(executors: Executors) -> Iterator[Reading]:
    for executor in executors.all:
        yield metrics.EXECUTOR_CALLS, (executor.name,), executor.calls


def _disk(root: Path) -> Iterator[Reading]:
    usage = shutil.disk_usage(root)
    yield metrics.DISK_FREE, (), usage.free
    yield metrics.DISK_SIZE, (), usage.total


def _sizes(paths: Iterable[Path]) -> Iterator[int]:
    for path in paths:
        with suppress(FileNotFoundError):  # evicted or merged meanwhile
            yield path.stat().st_size


def _resident_by_group() -> dict[int, int]:
    """Resident bytes by process group (proc(5)); empty where there is no /proc."""
    found: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            # the name may hold spaces and brackets; of what follows it the third field is the group, the 22nd the pages
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            group, pages = int(fields[2]), int(fields[21])
            found[group] = found.get(group, 0) + pages * sysconf("SC_PAGE_SIZE")
    return found
