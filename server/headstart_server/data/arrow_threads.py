"""Arrow's threads, started early: it starts each when more reads than ever before are under way at a time.

A server would grow by a thread now and then for hours, and by what its allocator sets aside for each
(`findings/arrow_starts_reading_threads_one_by_one.sh`).
"""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.csv as pa_csv

_SECONDS = 60.0
_COLUMNS_A_THREAD = 64


def start_arrow_threads() -> None:
    """Starts every thread of Arrow's pools of this process, for reading and for computing, and waits for them."""
    count = pa.io_thread_count()
    together = threading.Barrier(count)
    with ThreadPoolExecutor(count) as callers:
        for table in callers.map(lambda _: pa_csv.open_csv(pa.PythonFile(_Waiting(together))).read_all(), range(count)):
            assert table.num_rows == 1
    # every column is a task of its own, all of them given out before a thread is up
    row = b",".join(b"%d" % number for number in range(_COLUMNS_A_THREAD * pa.cpu_count())) + b"\n"
    pa_csv.read_csv(pa.BufferReader(row + row))


class _Waiting(io.RawIOBase):
    """A table of one row that can be read once as many threads as there are want to read one."""

    def __init__(self, together: threading.Barrier) -> None:
        self._together, self._left = together, b"column\n1\n"

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """All of it, then nothing."""
        if self._left:
            self._together.wait(_SECONDS)
        found, self._left = self._left, b""
        return found
