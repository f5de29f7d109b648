"""Free memory is the nearer of the machine's and the container's; every library's way to say that it ran out."""

import errno
import mmap
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from headstart_server.core import memory


def test_without_a_limit_it_is_the_machines(tmp_path: Path) -> None:
    assert memory.available_bytes(tmp_path) > 0
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert memory.available_bytes(tmp_path) > 1_000


def test_a_containers_limit_counts_where_it_is_nearer(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("3000\n")
    assert memory.available_bytes(tmp_path) == 2_000


def test_cached_files_can_be_given_back(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("4900\n")
    (tmp_path / "memory.stat").write_text("anon 900\ninactive_file 4000\nactive_file 0\n")
    assert memory.available_bytes(tmp_path) == 4_100


def test_it_is_never_negative(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("6000\n")
    assert memory.available_bytes(tmp_path) == 0


_ALLOCATIONS: dict[str, Callable[[], object]] = {
    "Python": lambda: bytearray(1 << 62),
    "the system": lambda: mmap.mmap(-1, 1 << 50),
    "numpy": lambda: np.empty(1 << 60, np.uint8),
    "torch": lambda: torch.empty(1 << 60, dtype=torch.uint8),
    "torch on a GPU": lambda: _raise(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")),
}


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("library", _ALLOCATIONS)
def test_more_than_there_is_is_told_from_other_errors(library: str) -> None:
    with pytest.raises((RuntimeError, MemoryError, OSError)) as refused:
        _ALLOCATIONS[library]()
    assert memory.ran_out_of_memory(refused.value)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("shapes do not fit"), OSError(errno.ENOSPC, "disk full"), ValueError("out of memory"), KeyError()],
    ids=repr,
)
def test_other_errors_are_no_lack_of_memory(error: Exception) -> None:
    assert not memory.ran_out_of_memory(error)


@pytest.mark.parametrize(("given", "kept"), [(None, "64"), ("7", "7")])
def test_few_primitives_are_kept_unless_the_operator_says_how_many(
    monkeypatch: pytest.MonkeyPatch, given: str | None, kept: str
) -> None:
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.delenv(name, raising=False)
    if given is not None:
        monkeypatch.setenv(name, given)
    memory.keep_few_primitives()
    assert os.environ[name] == kept


_POOL = """
import os, sys
import headstart_server.app
from headstart_server.core.memory import arrow_by_malloc

assert "pyarrow" not in sys.modules  # a server imports it first where its memory is settled
with arrow_by_malloc():
    import pyarrow as pa

pa.array([1, 2])
print(pa.default_memory_pool().backend_name, os.environ.get("ARROW_DEFAULT_MEMORY_POOL"))
"""


@pytest.mark.parametrize(("given", "found"), [(None, "system None"), ("mimalloc", "mimalloc mimalloc")])
def test_arrow_takes_a_servers_memory_from_malloc_unless_told_otherwise(given: str | None, found: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "ARROW_DEFAULT_MEMORY_POOL"}
    environment |= {"ARROW_DEFAULT_MEMORY_POOL": given} if given is not None else {}
    done = subprocess.run([sys.executable, "-c", _POOL], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == found


_ARENAS = """
import ctypes, sys, threading
from headstart_server.core.memory import keep_few_arenas

if sys.argv[1] == "few":
    keep_few_arenas()
together = threading.Barrier(20)

def allocate():
    kept = [bytearray(2_000) for _ in range(50)]
    together.wait(30)

threads = [threading.Thread(target=allocate) for _ in range(20)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="arenas are glibc's")
def test_threads_share_few_arenas(tmp_path: Path) -> None:
    counts = {}
    plain = {key: value for key, value in os.environ.items() if key != "MALLOC_ARENA_MAX"}
    for name, call, more in (("few", "few", {}), ("many", "many", {}), ("own", "few", {"MALLOC_ARENA_MAX": "6"})):
        file = tmp_path / name
        subprocess.run([sys.executable, "-c", _ARENAS, call, str(file)], check=True, timeout=120, env=plain | more)
        counts[name] = file.read_text().count("<heap nr=")
    assert counts["few"] <= 4 < counts["many"]
    assert counts["own"] == 6


def test_what_was_imported_is_no_work_for_the_garbage_collector() -> None:
    program = (
        "import gc, asyncio; from headstart_server.core.memory import leave_imports_alone; "
        "before = len(gc.get_objects()); leave_imports_alone(); print(before, len(gc.get_objects()))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, after = map(int, answer.stdout.split())
    assert after < before / 10
