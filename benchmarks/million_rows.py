"""One million stored rows: found, gathered and ready to train, with time and memory of a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.support.clock import Sample
from benchmarks.support.million import OURS, PEERS, build
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench

_COLUMNS = (
    Column("work", "work"),
    Column("storage", "stored as"),
    Column("hash", "hash, s", "{:.2f}"),
    Column("find", "find, s", "{:.2f}"),
    Column("gather", "gather, s", "{:.2f}"),
    Column("fit", "fit the standardiser, s", "{:.2f}"),
    Column("seconds", "all, s", "{:.2f}"),
    Column("spread", "spread", "{:.0%}"),
    Column("ours_over", f"{OURS} is faster by", "{:.2f}×"),
    Column("memory", "peak memory / matrix", "{:.2f}×"),
)


def run(bench: Bench) -> Report:
    """Every measurement in a fresh process, so that its peak memory is its own; contenders take turns."""
    rows = bench.pick(1_000_000, 100_000)
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for storage, precision in (("float16", "bf16"), ("float32", "fp32")):
        folder = bench.scratch / storage
        build(folder, rows, precision)
        for _ in range(bench.pick(3, 2)):
            for name in PEERS:
                found.setdefault((name, storage), []).append(_measured(name, folder, precision))
    return Report(
        "million_rows",
        f"How long {rows:,} rows of 384 numbers take from texts to a matrix that a model can train on.",
        "generated texts of about 50 bytes and random embeddings, in an order other than the store's",
        [Table(_COLUMNS, [_row(name, storage, runs, found) for (name, storage), runs in found.items()])],
        [
            "Peak memory is the largest resident size over what the process had before it began, and includes keys and "
            "index. Files may lie in the page cache, as after a job that filled the store.",
            "The dict holds key to row number and copies row by row from a memory map; `numpy.load` reads one file in "
            "its own order without looking anything up or checking a checksum: the floor of the disk.",
        ],
    )


def _measured(name: str, folder: Path, precision: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.support.million", name, str(folder), precision]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    return dict(json.loads(done.stdout))


def _row(
    name: str, storage: str, runs: list[dict[str, Any]], found: dict[tuple[str, str], list[dict[str, Any]]]
) -> dict[str, object]:
    """The run of median duration, and ours of the same storage beside it."""
    ordered = sorted(runs, key=lambda run: float(run["seconds"]))
    sample = Sample(tuple(float(run["seconds"]) for run in runs))
    ours = Sample(tuple(float(run["seconds"]) for run in found[OURS, storage]))
    return {
        "work": name,
        "storage": storage,
        **ordered[len(ordered) // 2],
        "seconds": sample.median,
        "spread": sample.spread,
        "ours_over": None if name == OURS else sample.median / ours.median,
        "memory": max(float(run["memory"]) for run in runs),
    }
