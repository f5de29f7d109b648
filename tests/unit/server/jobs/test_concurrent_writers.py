"""Threads and processes that write to one store at once leave one log without gaps, and wait for nobody who reads."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from headstart_server.core.states import State
from headstart_server.engines.events import (
    StateChange,
)
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.store import JobStore, LostJobError
from headstart_server.training.reports import JobWarning

from tests.support.fake_workers import job_record, step_report
from tests.support.job_logs import created, numbers, sequences

_WRITER = """
import sys
from headstart_server.jobs.store import JobStore, LostJobError
from headstart_server.training.reports import JobWarning
store = JobStore(sys.argv[1])
print("open", flush=True)
sys.stdin.readline()
for step in range(40):
    store.append(sys.argv[2], JobWarning(sys.argv[3], str(step)))
"""


def test_writers_in_many_threads_leave_no_gap(store: JobStore) -> None:
    job = created(store)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: store.append(job.identifier, step_report(number)), range(40)))
    events = store.events(job.identifier, 1)
    assert [event.sequence for event in events] == list(range(2, 42))
    assert sorted(numbers(store, job, 1)) == list(range(40))


def test_two_processes_on_one_file_leave_no_gap(store: JobStore, database: Path) -> None:
    job = created(store)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, f"sqlite:///{database}", job.identifier, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for name in "ab"
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
    for writer in writers:
        writer.communicate(b"go\n", timeout=60)
    assert [writer.returncode for writer in writers] == [0, 0]
    events = store.events(job.identifier, 1)
    assert [event.sequence for event in events] == list(range(2, 82))
    for name in "ab":
        written = [entry.event for entry in events if isinstance(entry.event, JobWarning)]
        assert [event.message for event in written if event.reason == name] == list(map(str, range(40)))


def test_one_of_two_racing_ends_wins_and_the_other_changes_nothing(store: JobStore) -> None:
    for _ in range(10):
        job = created(store, "PREPARING")
        barrier = threading.Barrier(2)

        def end(to: State, identifier: str = job.identifier, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            with suppress(LostJobError):
                store.end(identifier, to, attempt=1)

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(end, [State.CANCELLED, State.FAILED]))
        states = [entry.event for entry in store.events(job.identifier, 0) if isinstance(entry.event, StateChange)]
        [last] = [event.to for event in states if event.to.terminal]
        assert store.get(job.identifier).state == last


def test_reading_waits_for_no_writer(store: JobStore, database: Path) -> None:
    job = created(store)
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    start = time.monotonic()
    assert store.get(job.identifier) == job
    assert sequences(store, job) == [1]
    assert store.newest(10) == [job]
    assert time.monotonic() - start < 9.5  # a writer waits for 10 s and gives up
    other.close()


def test_racing_requests_with_one_id_make_one_job(store: JobStore) -> None:
    barrier = threading.Barrier(4)

    def create(_: int) -> tuple[JobRecord, bool]:
        barrier.wait()
        return store.create(job_record(request_id="r"))

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(create, range(4)))
    assert sorted(new for _, new in answers) == [False, False, False, True]
    assert len({job.identifier for job, _ in answers}) == 1
