"""Lists of many large jobs: how long a page takes, how large it is, and what other calls wait for meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import headstart
import numpy as np
from headstart.v1 import training_pb2 as pb
from headstart_server.core.names import new_id
from headstart_server.core.states import State
from headstart_server.engines.events import RowCounts, SpecResolved
from headstart_server.jobs.database import to_row
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.store import JobStore
from headstart_server.jobs.tables import JOBS
from headstart_server.planning.resolution import Origin, ResolvedValue
from sqlalchemy import insert

from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import running_server
from benchmarks.support.training_stub import training_stub

_COLUMNS_OF_A_JOB = 300
_COLUMNS = (
    Column("page", "page"),
    Column("jobs", "jobs"),
    Column("kib", "KiB", "{:,.0f}"),
    Column("median", "median, ms", "{:.1f}"),
    Column("p99", "99th percentile, ms", "{:.1f}"),
    Column("info", "GetServerInfo meanwhile: 99th percentile, ms", "{:.1f}"),
)


def run(bench: Bench) -> Report:
    """Pages of a store of jobs that have succeeded."""
    count = bench.pick(10_000, 500)
    state = bench.scratch / "state"
    _fill(state, count)
    asked = {
        "JOB_VIEW_BASIC, 50": pb.ListTrainJobsRequest(page_size=50),
        "JOB_VIEW_BASIC, 50, by label and time": pb.ListTrainJobsRequest(
            page_size=50, filter='labels.team = "t3"', order_by="update_time"
        ),
        "JOB_VIEW_BASIC, 1,000": pb.ListTrainJobsRequest(page_size=1_000),
        "JOB_VIEW_FULL, 50": pb.ListTrainJobsRequest(page_size=50, view=pb.JOB_VIEW_FULL),
    }
    with running_server(state, bench.scratch / "data") as address, headstart.Client(address) as client:
        rows = [{"page": "none", "info": _p99(_timed(client.server_info, bench.pick(5.0, 1.0)))}]
        with training_stub(address) as stub:
            for name, request in asked.items():
                answer = stub.ListTrainJobs(request)
                with _beside(client.server_info) as waits:
                    seconds = _timed(partial(stub.ListTrainJobs, request), bench.pick(10.0, 2.0))
                rows.append(
                    {
                        "page": name,
                        "jobs": len(answer.train_jobs),
                        "kib": answer.ByteSize() / 1024,
                        "median": 1_000 * float(np.median(seconds)),
                        "p99": _p99(seconds),
                        "info": _p99(waits),
                    }
                )
    return Report(
        "list_jobs",
        "What lists of jobs cost.",
        f"{count:,} jobs of {_COLUMNS_OF_A_JOB} columns each, in SQLite",
        [Table(_COLUMNS, rows)],
        ["One caller lists again and again, and another asks GetServerInfo every 5 ms."],
    )


def _fill(state: Path, count: int) -> None:
    state.mkdir(parents=True)
    features = [{"name": f"measurement_{number}", "type": "number"} for number in range(_COLUMNS_OF_A_JOB)]
    spec = {"input_features": features, "output_features": [{"name": "label", "type": "category"}]}
    values = [
        ResolvedValue(f"input_features[{number}].encoder.type", "passthrough", Origin.DEFAULT)
        for number in range(_COLUMNS_OF_A_JOB)
    ]
    start, resolved = datetime(2026, 1, 1, tzinfo=UTC), SpecResolved(spec, values, RowCounts(800, 100, 100))
    first = JobRecord(new_id(), "", "digest", "", State.SUCCEEDED, start, start, spec, [], resolved=resolved)
    common = to_row(first)
    store = JobStore(f"sqlite:///{state / 'headstart.sqlite'}")
    with store.database.writing() as connection:
        for number in range(count):
            created = start + timedelta(minutes=number)
            job = replace(
                first, identifier=new_id(), create_time=created, update_time=created, labels={"team": f"t{number % 7}"}
            )
            connection.execute(insert(JOBS).values({**common, **to_row(job, since=first)}))
    store.close()


def _timed(call: Callable[[], object], seconds: float) -> list[float]:
    found, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return found


@contextmanager
def _beside(call: Callable[[], object]) -> Iterator[list[float]]:
    """The seconds that calls take on a thread while the block runs."""
    found: list[float] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.005):
            start = time.perf_counter()
            call()
            found.append(time.perf_counter() - start)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def _p99(seconds: list[float]) -> float:
    return 1_000 * float(np.quantile(seconds, 0.99))
