"""The second job: the same rows renamed, reordered and rewritten cost no encoder pass; new rows cost their own."""

import random
import statistics
from pathlib import Path

import headstart

from benchmarks.support.corpus import Columns, corpus, take, write_csv, write_jsonl
from benchmarks.support.generated import unseen
from benchmarks.support.jobs import FollowedJob, follow, text_spec
from benchmarks.support.report import RECORDED, Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import running_server

_EPOCHS = 5
_COLUMNS = (
    Column("work", "job"),
    Column("rows", "rows", "{:,}"),
    Column("found", "found", "{:,}"),
    Column("repeated", "repeated", "{:,}"),
    Column("encoded", "encoded", "{:,}"),
    Column("seconds", "TrainJob to SUCCEEDED, s", "{:.2f}"),
    Column("ratio", "of the first job", "{:.1%}"),
    Column("recorded", f"rows encoded, {RECORDED}", "{}"),
)


def run(bench: Bench) -> Report:
    """One server, one client, one job after the other."""
    found = corpus(bench.data_root, "text/sst2")
    rows = take(found.train, range(bench.pick(6_920, 500)))
    data_root = bench.scratch / "data"
    with running_server(bench.scratch / "state", data_root) as address, headstart.Client(address) as client:
        jobs = _jobs(client, rows, data_root, bench.pick(5, 3))
    return Report(
        "warm_second_job",
        f"What a job of {_EPOCHS} epochs costs when the store knows its rows.",
        found.origin,
        [Table(_COLUMNS, _rows(jobs))],
        [
            "Seconds are a client's, from the call of TrainJob until SUCCEEDED arrived: reading the file, looking rows "
            "up, training, choosing the best epoch, publishing the model. The worker is warm but for the first job.",
            "The renamed job is the median of several, each in an order of its own.",
        ],
    )


def _jobs(client: headstart.Client, rows: Columns, folder: Path, repetitions: int) -> dict[str, FollowedJob]:
    """The jobs in order, by what they show."""
    count = len(rows["text"])
    new = {**take(rows, range(max(1, count // 100)))}
    more = {**new, "text": unseen(new["text"], 1)}
    again = {**new, "text": unseen(new["text"], 2)}
    first = _train(client, write_csv(folder / "first.csv", rows))
    renamed = [
        _train(client, write_jsonl(folder / f"renamed-{seed}.jsonl", _shuffled(rows, seed)))
        for seed in range(repetitions)
    ]
    return {
        "first, nothing stored": first,
        "renamed, reordered, as JSON lines": _median(renamed),
        "1 % new rows": _train(client, write_csv(folder / "more.csv", _joined(rows, more))),
        "1 % new rows, each three times": _train(client, write_csv(folder / "thrice.csv", _joined(rows, *[again] * 3))),
    }


def _train(client: headstart.Client, file: Path) -> FollowedJob:
    return follow(client, text_spec("text", "label", trainer={"epochs": _EPOCHS, "early_stop": -1}), file)


def _median(jobs: list[FollowedJob]) -> FollowedJob:
    """The job of median duration; all of them encoded what the most encoding one did."""
    middle = statistics.median_low(job.seconds for job in jobs)
    return max((job for job in jobs if job.seconds <= middle), key=lambda job: (job.encode.rows_encoded, job.seconds))


def _shuffled(rows: Columns, seed: int) -> Columns:
    order = list(range(len(rows["text"])))
    random.Random(seed).shuffle(order)
    return take(rows, order)


def _joined(*parts: Columns) -> Columns:
    return {name: [value for part in parts for value in part[name]] for name in parts[0]}


def _rows(jobs: dict[str, FollowedJob]) -> list[dict[str, object]]:
    first = next(iter(jobs.values())).seconds
    rows: list[dict[str, object]] = [
        {
            "work": name,
            "rows": job.encode.rows_total,
            "found": job.encode.rows_found,
            "repeated": job.encode.rows_repeated,
            "encoded": job.encode.rows_encoded,
            "seconds": job.seconds,
            "ratio": job.seconds / first,
        }
        for name, job in jobs.items()
    ]
    return [*rows, {"work": "Ludwig 0.17.10, file rewritten", "recorded": "all"}]
