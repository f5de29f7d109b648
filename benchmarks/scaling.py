"""Scaling on paper: a simulator fed with costs measured here, from a million rows to ten thousand million."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
from headstart_server.data.tables import open_table
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.encoders.streams import cores
from headstart_server.planning.rules import batch_size
from headstart_server.spec.training_sections import TrainerSpec

from benchmarks.support.clock import elapsed
from benchmarks.support.corpus import corpus, distinct_texts, take, write_csv
from benchmarks.support.embedding import EmbeddingPass, text_plan
from benchmarks.support.engine import Engine
from benchmarks.support.jobs import text_spec
from benchmarks.support.million import OURS, build
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.simulation import Cluster, Costs, Simulated, simulate

_EPOCHS = 5
_MICROSECONDS = "{:,.2f}"
_COST_COLUMNS = (Column("cost", "cost"), Column("value", "measured", "{}"))
_COLUMNS = (
    Column("rows", "rows", "{:.0e}"),
    Column("workers", "workers", "{:,}"),
    Column("hours", "hours", "{:,.2f}"),
    Column("speed", "rows/s", "{:,.0f}"),
    Column("dollars", "dollars", "{:,.0f}"),
    Column("stages", "survey, encode, gather, train, h"),
    Column("bottleneck", "bottleneck"),
    Column("too_large", "does not fit memory"),
)


def run(bench: Bench) -> Report:
    """Measures each cost once, then simulates."""
    costs = _measured(bench)
    tables = [Table(_COST_COLUMNS, _told(costs), "measured on this machine, per row and core")]
    for parted, caption in (
        (False, "as the code is"),
        (True, "as it could be: each worker surveys, gathers its part"),
    ):
        rows = [
            _row(simulate(costs, Cluster(workers), 10**power, _EPOCHS, _batch_size, parted=parted))
            for power in range(6, 11)
            for workers in (1, 10, 100, 1_000)
        ]
        tables.append(Table(_COLUMNS, rows, caption))
    given = Cluster(1)
    price = f"{given.core_hour} dollars a core and hour"
    return Report(
        "scaling",
        "Where a job over many rows and workers spends its time, and what gives out first.",
        "simulated; costs from real text and generated stores",
        tables,
        [
            f"Given, not measured: workers of {given.cores} cores and {given.memory / 1e9:.0f} GB, links of "
            f"{given.link / 1e9:.2f} GB/s, an object store of {given.store / 1e9:.0f} GB/s in all, {given.start:.0f} s "
            f"until a worker encodes, {given.latency * 1e6:.0f} µs a message, {price}.",
            f"Every row is a distinct text that nothing is stored of; the head trains {_EPOCHS} epochs.",
        ],
    )


def _measured(bench: Bench) -> Costs:
    found = corpus(bench.data_root, "text/sst2")
    count = bench.pick(1_000_000, 100_000)
    laps = _million(bench, count)
    texts = distinct_texts(found)[: bench.pick(2_048, 256)]
    encoding = EmbeddingPass(text_plan(), texts)
    encode = min(elapsed(partial(encoding.into, bench.scratch / f"e{number}")) for number in range(2))
    repeated = {
        "text": list(found.train["text"]) * bench.pick(20, 2),
        "label": list(found.train["label"]) * bench.pick(20, 2),
    }
    path = write_csv(bench.scratch / "rows.csv", repeated)
    read = elapsed(lambda: open_table(path, None, bench.scratch / "tables", "dataset"))
    train, step = _epoch(bench)
    store = EmbeddingStore(bench.scratch / "shards").space(text_plan().space)
    keys = np.random.default_rng(0).integers(0, 2**63, (16_384, 2)).astype(np.uint64)
    shard = elapsed(lambda: store.add(keys, np.zeros((len(keys), 384), np.float32)))
    return Costs(
        read=read / len(repeated["text"]),
        hash=laps["hash"] / count,
        find=laps["find"] / count,
        gather=laps["gather"] * cores() / count,
        encode=encode * cores() / len(texts),
        train=train,
        step=step,
        shard=shard,
        row_bytes=round(sum(map(len, texts)) / len(texts)),
        embedding_bytes=768,
    )


def _million(bench: Bench, rows: int) -> dict[str, float]:
    folder = bench.scratch / "million"
    build(folder, rows, "bf16")
    command = [sys.executable, "-m", "benchmarks.support.million", OURS, str(folder), "bf16"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    return dict(json.loads(done.stdout))


def _epoch(bench: Bench) -> tuple[float, float]:
    """(seconds per row, seconds per step) of a head on stored embeddings: from epochs of two batch sizes."""
    found = corpus(bench.data_root, "text/sst2")
    rows = bench.pick(6_919, 1_024)
    train, validation = take(found.train, range(rows)), take(found.test, range(256))
    engine, seconds = Engine(bench.scratch / "engine"), {}
    for size in (32, 512):
        spec = text_spec("text", "label", trainer={"epochs": 6, "batch_size": size, "checkpoint": False})
        seconds[size] = min(epoch.train_seconds for epoch in engine.train(spec, train, validation))
    steps = {size: -(-rows // size) for size in seconds}
    step = max(0.0, (seconds[32] - seconds[512]) / (steps[32] - steps[512]))
    return max(0.0, seconds[512] - steps[512] * step) / rows, step


def _batch_size(rows: int) -> int:
    return batch_size(rows, TrainerSpec(), encoder_trains=False)[0]


def _told(costs: Costs) -> list[dict[str, object]]:
    seconds = ("read", "hash", "find", "gather", "encode", "train")
    told: list[dict[str, object]] = [
        {"cost": f"{name}, µs", "value": _MICROSECONDS.format(getattr(costs, name) * 1e6)} for name in seconds
    ]
    told.append({"cost": "one step of the head, µs", "value": _MICROSECONDS.format(costs.step * 1e6)})
    told.append({"cost": "one shard of 16,384 rows, ms", "value": f"{costs.shard * 1e3:.0f}"})
    return told


def _row(done: Simulated) -> dict[str, object]:
    return {
        "rows": done.rows,
        "workers": done.cluster.workers,
        "hours": done.seconds / 3600,
        "speed": done.rows / done.seconds,
        "dollars": done.dollars,
        "stages": ", ".join(f"{stage.seconds / 3600:,.2f}" for stage in done.stages),
        "bottleneck": done.bottleneck.name,
        "too_large": ", ".join(done.too_large),
    }
