"""A process that yields the cores says so of itself, and of its session's group where it leads one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = "import os; from headstart_server.core.priority import lower_priority as lower; lower(7); print(os.nice(0))"
GROUP = Path("/proc/self/autogroup")
SHARED_BY_SESSION = GROUP.exists() and GROUP.read_text() != ""  # empty: control groups share the cores out


def test_a_process_is_nicer_than_the_one_that_started_it() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    own = subprocess.run(
        [sys.executable, "-c", "import os; print(os.nice(0))"], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == min(19, int(own.stdout) + 7)


@pytest.mark.skipif(not SHARED_BY_SESSION, reason="the cores are not shared out among sessions here")
@pytest.mark.parametrize(("leads", "nice"), [(True, 7), (False, 0)])
def test_the_group_of_a_session_goes_with_its_leader(leads: bool, nice: int) -> None:
    program = f"{PROGRAM}; print(open('{GROUP}').read())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        start_new_session=leads,
    )
    group = int(done.stdout.split()[-1])
    assert group == nice if leads else group == int(GROUP.read_text().split()[-1])


def test_a_worker_yields_to_the_server() -> None:
    command = [sys.executable, "-m", "headstart_server.jobs.worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as worker:
        wanted = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 2)
        deadline = time.monotonic() + 60
        while os.getpriority(os.PRIO_PROCESS, worker.pid) != wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        found = os.getpriority(os.PRIO_PROCESS, worker.pid)
        worker.kill()
    assert found == wanted
