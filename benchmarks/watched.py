"""What it costs to be watched: by browsers and Prometheus, and by a thousand who wait and fifty who never read."""

import os
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import headstart
from headstart.v1 import training_pb2 as pb

from benchmarks.support import watching
from benchmarks.support.corpus import corpus, take, write_csv
from benchmarks.support.jobs import follow, text_spec
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import free_port, running_server

_COLUMNS = (
    Column("work", "work"),
    Column("watchers", "watched by"),
    Column("alone", "alone", "{:.2f}"),
    Column("watched", "watched", "{:.2f}"),
    Column("ratio", "median of the rounds' ratios", "{:.3f}"),
    Column("quarter", "a quarter below", "{:.3f}"),
    Column("three_quarters", "a quarter above", "{:.3f}"),
)
_ALONE, _BROWSERS, _STREAMS = "nobody", "browsers", "streams"


def run(bench: Bench) -> Report:
    """The same training and the same predictions, alone and watched in turn."""
    found = corpus(bench.data_root, "text/sst2")
    rows = take(found.train, range(bench.pick(6_920, 500)))
    data, port = bench.scratch / "data", free_port()
    with (
        running_server(bench.scratch / "state", data, http_port=port) as address,
        headstart.Client(address) as client,
    ):
        table = write_csv(data / "train.csv", rows)
        model, idle = _train(client, table, bench)[1], _paused(client, table)
        kinds: dict[str, Callable[[], AbstractContextManager[watching.Watch | None]]] = {
            _ALONE: nullcontext,
            _BROWSERS: lambda: watching.browsers(f"http://127.0.0.1:{port}"),
            _STREAMS: lambda: watching.idle_and_unread(address, idle),
        }
        rounds: list[dict[str, _Round]] = []
        for number in range(bench.pick(9, 3)):
            # each first as often as the others: a machine that warms up or slows down favours none
            order = [list(kinds)[(number + place) % len(kinds)] for place in range(len(kinds))]
            rounds.append({kind: _round(client, table, model, bench, port, kinds[kind]) for kind in order})
    return Report(
        "watched",
        "What being watched costs.",
        found.origin,
        [
            Table(
                _COLUMNS, [_row(work, of, kind, rounds) for kind in (_BROWSERS, _STREAMS) for work, of in _WORK.items()]
            )
        ],
        [
            f"Browsers: {watching.BROWSERS} streams of the job's events from its start, a list of 50 jobs every "
            f"{watching.LIST_SECONDS:.0f} s over HTTP, and a scrape every {watching.SCRAPE_SECONDS:.0f} s. Streams: "
            f"{watching.IDLE:,} gRPC streams of a paused job, with a heartbeat every "
            f"{watching.HEARTBEAT_SECONDS:.0f} s, and {watching.NEVER_READ} of the running job that nobody reads. What "
            "asks runs at the lowest priority, as if on other machines; what it asks for is made by the server.",
        ],
    )


def _paused(client: headstart.Client, table: Path) -> str:
    """A job in which nothing happens."""
    run = client.train(text_spec("text", "label"), headstart.ServerPath(table.name))
    run.close()
    client.jobs.pause(run.name)
    while client.jobs.get(run.name).state != pb.TrainJob.STATE_PAUSED:
        time.sleep(0.1)
    return run.name


@dataclass(frozen=True)
class _Round:
    training: float
    """Seconds."""
    server: float
    """Percent of the machine that the server's process took during the training; its workers are others."""
    prediction: float
    """Milliseconds of the median."""


_WORK: dict[str, Callable[[_Round], float]] = {
    "training on stored embeddings, s": lambda one: one.training,
    "of both cores, % that the server took": lambda one: one.server,
    "Predict, one text, ms": lambda one: one.prediction,
}


def _round(
    client: headstart.Client,
    table: Path,
    model: str,
    bench: Bench,
    port: int,
    watchers: Callable[[], AbstractContextManager[watching.Watch | None]],
) -> _Round:
    url = f"http://127.0.0.1:{port}"
    with watchers() as watch:
        before, start = _processor_seconds(url), time.perf_counter()
        seconds = _train(client, table, bench, watch)[0]
        taken = (_processor_seconds(url) - before) / (time.perf_counter() - start) / (os.cpu_count() or 1)
        return _Round(seconds, 100 * taken, _predict(client, model, bench))


def _processor_seconds(url: str) -> float:
    """Of the server's process so far."""
    lines = watching.read(f"{url}/metrics").decode().splitlines()
    return float(next(line for line in lines if line.startswith("process_cpu_seconds_total ")).split()[1])


def _train(
    client: headstart.Client, table: Path, bench: Bench, watch: watching.Watch | None = None
) -> tuple[float, str]:
    spec = text_spec("text", "label", trainer={"epochs": bench.pick(400, 10), "early_stop": -1})
    job = follow(client, spec, table, on_start=watch)
    return job.seconds, job.model


def _predict(client: headstart.Client, model: str, bench: Bench) -> float:
    seconds = []
    for _ in range(bench.pick(150, 20)):
        start = time.perf_counter()
        client.predict(model, {"text": ["a film that nobody will forget"]})
        seconds.append(time.perf_counter() - start)
    return 1_000 * statistics.median(seconds)


def _row(work: str, of: Callable[[_Round], float], kind: str, rounds: list[dict[str, _Round]]) -> dict[str, object]:
    pairs = [(of(one[_ALONE]), of(one[kind])) for one in rounds]
    alone, watched = (statistics.median(values) for values in zip(*pairs, strict=True))
    below, ratio, above = statistics.quantiles([watched / alone for alone, watched in pairs], n=4, method="inclusive")
    return {
        "work": work,
        "watchers": kind,
        "alone": alone,
        "watched": watched,
        "ratio": ratio,
        "quarter": below,
        "three_quarters": above,
    }
