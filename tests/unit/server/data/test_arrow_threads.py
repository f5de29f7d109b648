"""Arrow's threads are there from the start."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import os, time
import pyarrow as pa
from headstart_server.data.arrow_threads import start_arrow_threads

def threads():
    time.sleep(1)  # the system takes a moment to forget the threads that called
    return len(os.listdir("/proc/self/task"))

pa.set_io_thread_count(5)
pa.set_cpu_count(3)
counts = [threads()]
for _ in range(3):
    start_arrow_threads()
    counts.append(threads())
print(*counts)
"""


def test_all_of_them_start_and_no_more_come() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True, timeout=120)
    before, started, *later = map(int, done.stdout.split())
    assert started - before >= 8
    assert set(later) == {started}
