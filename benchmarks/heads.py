"""Many models on one encoder: 64 callers who each ask another one, and a model that nobody has asked yet."""

import asyncio
import os
import random
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import headstart

from benchmarks.support.corpus import corpus, distinct_texts, take, write_csv
from benchmarks.support.jobs import follow, text_spec
from benchmarks.support.processes import descendants
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import running_server

_CALLERS = 64
_COLUMNS = (
    Column("what", "what"),
    Column("value", "value", "{:.2f}"),
    Column("below", "a quarter below", "{:.2f}"),
    Column("above", "a quarter above", "{:.2f}"),
)


def run(bench: Bench) -> Report:
    """One trained model and its copies, each a model of its own to the server."""
    found = corpus(bench.data_root, "text/sst2")
    copies, rounds = bench.pick((1_000, 7), (64, 3))
    data, state = bench.scratch / "data", bench.scratch / "state"
    with running_server(state, data) as address, headstart.Client(address) as client:
        table = write_csv(data / "train.csv", take(found.train, range(bench.pick(2_000, 300))))
        model = follow(client, text_spec("text", "label"), table).model
        names = _copied(state, model, copies)
        texts = distinct_texts(found)[: bench.pick(640, 128)]
        cold, warm = _cold(client, names[_CALLERS : 2 * _CALLERS] or names, texts)
        before = _resident()
        for name in names:
            client.predict(name, {"text": [texts[0]]})
        each = (_resident() - before) / max(1, len(names) - _CALLERS)
        one, many = [], []
        for _ in range(rounds):
            one.append(asyncio.run(_rate(address, [model], texts)))
            many.append(asyncio.run(_rate(address, names[:_CALLERS], texts)))
    return Report(
        "heads",
        "What it costs to serve many models that share a frozen encoder.",
        f"{found.origin}; {copies:,} copies of one model, {_CALLERS} callers at a time, one text a call",
        [
            Table(
                _COLUMNS,
                [
                    _row("one model asked by all, rows/s", one),
                    _row(f"{_CALLERS} models, each asked by one, rows/s", many),
                    _row("ratio", [other / first for first, other in zip(one, many, strict=True)]),
                    _row("a model that is loaded, ms a call", warm),
                    _row("a model that nobody has asked, ms a call", cold),
                    {"what": "memory of a model, MiB", "value": each / (1 << 20)},
                ],
            )
        ],
        ["Rounds in turn. Every text goes through the encoder: no stored embedding is used."],
    )


def _copied(state: Path, model: str, copies: int) -> list[str]:
    """Names of copies of a model, as if each had been trained."""
    [folder] = state.rglob(f"models/{model.split('/')[1]}")
    names = []
    for number in range(copies):
        name = f"copy{number:08d}"
        shutil.copytree(folder, folder.parent / name)
        names.append(f"models/{name}")
    return names


def _cold(client: headstart.Client, names: list[str], texts: list[str]) -> tuple[list[float], list[float]]:
    """Milliseconds of the first call of each model, and of its second."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for name in names:
        for kind in seconds:
            start = time.perf_counter()
            client.predict(name, {"text": [texts[len(seconds[0]) % len(texts)]]}, embedding_reuse="none")
            kind.append(1_000 * (time.perf_counter() - start))
    return seconds


def _resident() -> int:
    """Bytes that the server's process holds."""
    for pid in descendants(os.getpid()):
        process = Path(f"/proc/{pid}")
        if b"headstart_server.app" in (process / "cmdline").read_bytes():
            [line] = [line for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS:")]
            return int(line.split()[1]) << 10
    raise RuntimeError("the server is gone")


async def _rate(address: str, models: list[str], texts: list[str]) -> float:
    """Rows a second with one call of each caller in flight at a time."""
    waiting = iter(random.Random(1).sample(texts, len(texts)))
    async with headstart.AsyncClient(address) as client:

        async def caller(number: int) -> None:
            for text in waiting:
                await client.predict(models[number % len(models)], {"text": [text]}, embedding_reuse="none")

        start = time.perf_counter()
        await asyncio.gather(*(caller(number) for number in range(_CALLERS)))
        return len(texts) / (time.perf_counter() - start)


def _row(what: str, values: list[float]) -> dict[str, Any]:
    below, middle, above = statistics.quantiles(values, n=4, method="inclusive")
    return {"what": what, "value": middle, "below": below, "above": above}
