#!/usr/bin/env bash
# One would guess that a process which reads CSV files by Arrow has its threads after the first few files, since Arrow has pools
# of a fixed size (pyarrow.io_thread_count() says 8), and that reading more of the same changes nothing from then on.
#
# In truth the number is a bound, and each thread is started when more reads are waiting at one moment than ever before in the
# life of the process. A thousand files one after the other leave one reading thread or two; three that happen to be read at
# the same moment, perhaps hours later, add another, and so on up to eight. With the allocator that the wheel has, each keeps some
# MiB for itself from the first block that it reads. A service that is watched for leaks looks as if it had one; no call of
# pyarrow's starts the threads. What does: as many readers as there are threads, whose files answer only once all of them
# are being read.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'pyarrow==26.0.1'
cat >demo.py <<'PY'
import io
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pyarrow
import pyarrow.csv


def threads():
    time.sleep(0.5)
    return len(os.listdir("/proc/self/task"))


class Waiting(io.RawIOBase):
    """A CSV file that answers once so many are being read."""

    def __init__(self, together):
        self.together, self.left = together, b"a,b\n1,2\n"

    def readable(self):
        return True

    def read(self, size=-1):
        if self.left:
            self.together.wait(60)
        found, self.left = self.left, b""
        return found


def read(count):
    together = threading.Barrier(count)
    with ThreadPoolExecutor(count) as callers:
        for table in callers.map(
            lambda _: pyarrow.csv.open_csv(pyarrow.PythonFile(Waiting(together), mode="r")).read_all(), range(count)
        ):
            assert table.num_rows == 1


for _ in range(1000):
    read(1)
first = threads()
counts = []
for times, together in ((1000, 1), (1, 4), (1, 8)):
    for _ in range(times):
        read(together)
    counts.append(threads() - first)
print(pyarrow.io_thread_count(), *counts)
PY
found=$(venv/bin/python demo.py)
echo "pyarrow 26.0.1: the bound, then threads more than after 1,000 files in turn: after 1,000 others, 4 at once, 8 at once: $found"
read -r bound alone four eight <<<"$found"
[ "$bound" = 8 ] && [ "$alone" = 0 ] && [ "$four" -ge 2 ] && [ "$eight" -gt "$four" ]
