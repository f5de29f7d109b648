"""How much memory is free, as this process may use it, and less of it taken; and which errors say that it was not
enough."""

import ctypes
import errno
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
_ARENA_MAX, _ARENAS = -8, 4
"""What `malloc.h` calls M_ARENA_MAX, and how many there are."""
_ARROW_POOL = "ARROW_DEFAULT_MEMORY_POOL"
_REFUSALS = ("out of memory", "allocate memory", "defaultcpuallocator", "cublas_status_alloc_failed")


def keep_few_primitives() -> None:
    """Has oneDNN keep 64 of the programs that it makes for each shape of a product, instead of 1,024.

    Texts have hundreds of shapes. Programs are small, but lie in glibc's heap on top of tensors that were freed, whose
    memory stays with the process as long as they do (`findings/onednn_programs_pin_freed_tensors.sh`). To be called
    before the first product; an operator's own number stays.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")


def keep_few_arenas() -> None:
    """Has glibc share four arenas among all threads of this process, instead of eight for each core.

    Each arena keeps what was freed in it for its own threads; the server has dozens, of which few allocate at a time.
    To be called before there are threads. An operator's own number stays (`MALLOC_ARENA_MAX`), and libraries of C that
    have no arenas are told nothing.
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS)


def leave_imports_alone() -> None:
    """Has Python's garbage collector look no more at what is there now, which is for good: modules, classes, functions.

    torch and transformers are half a million objects. Each full collection looks at all of them, for a third of a
    second, in which no thread of the process does anything; they come every few thousand calls. To be called once
    imports are done, and before there is anything that can become garbage.
    """
    gc.collect()
    gc.freeze()


@contextmanager
def arrow_by_malloc() -> Iterator[None]:
    """Has Arrow, whose first import must be within, take its memory from malloc in this process.

    Its own allocator keeps some megabytes for each thread that has allocated once, and which of a server's dozens of
    threads do shows over hours (`findings/arrow_keeps_megabytes_for_each_thread.sh`). Processes that are started later
    have Arrow's own: in them few threads read large files. An operator's choice stays (`ARROW_DEFAULT_MEMORY_POOL`).
    """
    given = os.environ.get(_ARROW_POOL)
    os.environ.setdefault(_ARROW_POOL, "system")
    try:
        yield
    finally:
        if given is None:
            del os.environ[_ARROW_POOL]


def available_bytes(cgroup: Path = CGROUP) -> int:
    """Memory that this process can still take without swapping: the machine's, or the container's limit if that is
    nearer, shared with the other processes that train with it on this machine (`LOCAL_WORLD_SIZE`, as torch has it)."""
    return _free_bytes(cgroup) // max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _free_bytes(cgroup: Path) -> int:
    machine = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for line in _read(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            machine = int(line.split()[1]) * 1024  # what /proc calls kB is KiB
    # of cgroup v2; "max" where there is no limit
    limit, used = _read(cgroup / "memory.max").strip(), _read(cgroup / "memory.current").strip()
    if limit.isdigit() and used.isdigit():
        return max(0, min(machine, int(limit) - int(used) + _reclaimable(cgroup)))
    return machine


def oom_kills(cgroup: Path = CGROUP) -> int:
    """How many processes the system has killed for want of memory: in this container, or on this machine."""
    counted = _read(cgroup / "memory.events") or _read(Path("/proc/vmstat"))
    return next((int(line.split()[1]) for line in counted.splitlines() if line.startswith("oom_kill ")), 0)


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: Python's, the system's, or torch's.

    torch's allocator for CPUs raises a plain RuntimeError, told by its words alone.
    """
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    words = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(refusal in words for refusal in _REFUSALS)
    )


def _reclaimable(cgroup: Path) -> int:
    """Bytes of cached files that the kernel counts as used and gives back when asked."""
    for line in _read(cgroup / "memory.stat").splitlines():
        if line.startswith("inactive_file "):
            return int(line.split()[1])
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
