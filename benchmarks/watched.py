"""What it costs a server to be watched: ten browsers on the running job, a page that lists, Prometheus that scrapes."""

import multiprocessing
import os
import statistics
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path

import headstart
from headstart_server.core.priority import lower_priority

from benchmarks.support.corpus import corpus, take, write_csv
from benchmarks.support.jobs import follow, text_spec
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import free_port, running_server

_WATCHERS, _LIST_SECONDS, _SCRAPE_SECONDS = 10, 3.0, 5.0
_COLUMNS = (
    Column("work", "work"),
    Column("alone", "alone", "{:.2f}"),
    Column("watched", "watched", "{:.2f}"),
    Column("ratio", "median of the rounds' ratios", "{:.3f}"),
    Column("least", "least", "{:.3f}"),
    Column("most", "most", "{:.3f}"),
)


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
        model = _train(client, table, bench)[1]
        rounds: list[tuple[_Round, _Round]] = []
        for number in range(bench.pick(15, 3)):
            # in turn, and each first as often as the other: a machine that warms up or slows down favours neither
            first, second = (
                _round(client, table, model, bench, port, watched=bool(number % 2) ^ late) for late in (False, True)
            )
            rounds.append((second, first) if number % 2 else (first, second))
    return Report(
        "watched",
        "What being watched costs.",
        found.origin,
        [
            Table(
                _COLUMNS,
                [
                    _row("training on stored embeddings, s", rounds, lambda one: one.training),
                    _row("of both cores, % that the server took", rounds, lambda one: one.server),
                    _row("Predict, one text, ms", rounds, lambda one: one.prediction),
                ],
            )
        ],
        [
            f"Watched: {_WATCHERS} streams of the job's events from its start, and a list of 50 jobs every "
            f"{_LIST_SECONDS:.0f} s over HTTP, a scrape every {_SCRAPE_SECONDS:.0f} s. What asks runs at the lowest "
            "priority, as if it were on other machines; what it asks for is made by the server.",
        ],
    )


@dataclass(frozen=True)
class _Round:
    training: float
    """Seconds."""
    server: float
    """Percent of the machine that the server's process took during the training; its workers are others."""
    prediction: float
    """Milliseconds of the median."""


def _round(client: headstart.Client, table: Path, model: str, bench: Bench, port: int, *, watched: bool) -> _Round:
    url = f"http://127.0.0.1:{port}"
    with _watching(url) if watched else nullcontext() as watch:
        before, start = _processor_seconds(url), time.perf_counter()
        seconds = _train(client, table, bench, watch)[0]
        taken = (_processor_seconds(url) - before) / (time.perf_counter() - start) / (os.cpu_count() or 1)
        return _Round(seconds, 100 * taken, _predict(client, model, bench))


def _processor_seconds(url: str) -> float:
    """Of the server's process so far."""
    lines = _read(f"{url}/metrics").decode().splitlines()
    return float(next(line for line in lines if line.startswith("process_cpu_seconds_total ")).split()[1])


def _train(
    client: headstart.Client, table: Path, bench: Bench, watch: Callable[[str], None] | None = None
) -> tuple[float, str]:
    spec = text_spec("text", "label", trainer={"epochs": bench.pick(100, 10), "early_stop": -1})
    job = follow(client, spec, table, on_start=watch)
    return job.seconds, job.model


def _predict(client: headstart.Client, model: str, bench: Bench) -> float:
    seconds = []
    for _ in range(bench.pick(150, 20)):
        start = time.perf_counter()
        client.predict(model, {"text": ["a film that nobody will forget"]})
        seconds.append(time.perf_counter() - start)
    return 1_000 * statistics.median(seconds)


@contextmanager
def _watching(url: str) -> Iterator[Callable[[str], None]]:
    """Has another process list and scrape while the block runs, and watch the job that it is given."""
    spawn = multiprocessing.get_context("spawn")
    jobs, started = spawn.SimpleQueue(), spawn.Event()
    process = spawn.Process(target=_watch, args=(url, jobs, started), daemon=True)
    process.start()
    started.wait()
    try:
        yield jobs.put
    finally:
        process.kill()
        process.join()


def _watch(url: str, jobs: "SimpleQueue[str]", started: Event) -> None:
    lower_priority(19)
    for path, seconds in (("/api/v1/trainJobs?pageSize=50", _LIST_SECONDS), ("/metrics", _SCRAPE_SECONDS)):
        threading.Thread(target=_ask, args=(url + path, seconds), daemon=True).start()
    started.set()
    while True:
        job = jobs.get()
        for _ in range(_WATCHERS):
            threading.Thread(target=_follow, args=(f"{url}/api/v1/{job}/events",), daemon=True).start()


def _follow(url: str) -> None:
    with urllib.request.urlopen(url) as stream:
        while stream.read1(1 << 16):
            pass


def _ask(url: str, seconds: float) -> None:
    while True:
        _read(url)
        time.sleep(seconds)


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        body: bytes = answer.read()
        return body


def _row(work: str, rounds: list[tuple[_Round, _Round]], of: Callable[[_Round], float]) -> dict[str, object]:
    pairs = [(of(alone), of(watched)) for alone, watched in rounds]
    ratios = [watched / alone for alone, watched in pairs]
    alone, watched = (statistics.median(values) for values in zip(*pairs, strict=True))
    return {
        "work": work,
        "alone": alone,
        "watched": watched,
        "ratio": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
    }
