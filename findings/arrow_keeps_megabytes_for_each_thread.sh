#!/usr/bin/env bash
# One would guess that memory which Arrow says is free is free, or at least that it is used again: bytes_allocated() is 0 once the
# last array has gone, and what an allocator keeps is some multiple of what was needed at a time.
#
# In truth the allocator of the wheels (mimalloc) sets some MiB aside for each thread that has allocated an array once, and keeps
# them while the thread lives, however little it held; bytes_allocated() says 0, and nothing else of pyarrow's says more. Sixteen
# threads that each make one array of 100 kB and drop it leave tens of MiB resident. A service whose threads come to read a table
# one after the other, over hours, grows by steps of MiB and looks as if it leaked. With malloc (the variable
# ARROW_DEFAULT_MEMORY_POOL=system, or memory_pool=) the same threads leave next to nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'pyarrow==26.0.1'
cat >demo.py <<'PY'
import threading

import pyarrow as pa

THREADS, CELL = 16, b"x" * 100_000


def resident():
    """MiB of this process that belong to no file."""
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith("RssAnon")).split()[1]) / 1024


def kept(pool):
    """MiB that are resident once each of some living threads has made an array and dropped it."""
    made, over = threading.Barrier(THREADS + 1), threading.Event()

    def work():
        if pool is not None:
            pa.array([CELL], memory_pool=pool)
        made.wait(60)
        over.wait(60)

    before = resident()
    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    made.wait(60)
    found = resident() - before
    over.set()
    for thread in threads:
        thread.join()
    return found


malloc, mimalloc = pa.system_memory_pool(), pa.mimalloc_memory_pool()
kept(None)
kept(malloc)  # what Python and the first call make room for is not of the allocators
print(round(kept(malloc)), round(kept(mimalloc)), mimalloc.bytes_allocated())
PY
found=$(venv/bin/python demo.py)
echo "pyarrow 26.0.1: MiB that 16 threads keep of 100 kB each, by malloc and by mimalloc, and what is allocated of the latter: $found"
read -r malloc mimalloc allocated <<<"$found"
[ "$allocated" = 0 ] && [ "$mimalloc" -ge 10 ] && [ "$malloc" -lt 5 ]
