"""Predictions over gRPC: what serving adds to the encoder's own forward pass, alone and with 64 callers."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import headstart
import torch

from benchmarks.support.clock import Sample, elapsed, interleaved
from benchmarks.support.corpus import corpus, take, write_csv
from benchmarks.support.encoder import mean_pooled, padded, plain_model, tokens_of
from benchmarks.support.generated import unseen
from benchmarks.support.jobs import follow, text_spec
from benchmarks.support.machine import auto_precision, one_thread, synchronise
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import health_check, running_server

_CALLERS = 64
_IN_A_ROW = 10
_SERVED, _SERVED_MANY = "Predict, one text", f"Predict, {_CALLERS} callers of one text each"
_FAST = ", --serving-precision auto"
_RAW, _RAW_MANY = "raw forward pass, one text", f"raw forward pass, batches of {_CALLERS}"
_SINGLE = ", one thread"
_ECHO = "a health check: a call that computes nothing"
_LATENCY = (
    Column("work", "one at a time"),
    Column("median", "median ms", "{:.2f}"),
    Column("p99", "p99 ms", "{:.2f}"),
    Column("added", "added to the faster raw pass, ms", "{:+.2f}"),
    Column("spread", "spread", "{:.0%}"),
)
_THROUGHPUT = (
    Column("work", "many at a time"),
    Column("rows_per_second", "rows/s", "{:,.0f}"),
    Column("share", "of the faster raw pass", "{:.0%}"),
    Column("spread", "spread", "{:.0%}"),
)


def run(bench: Bench) -> Report:
    """A model trained on some rows answers texts that the store has never seen."""
    found = corpus(bench.data_root, "text/sst2")
    data_root, rows = bench.scratch / "data", range(bench.pick(1_000, 200))
    data_root.mkdir(parents=True)
    train = write_csv(data_root / "train.csv", take(found.train, rows))
    texts, rounds = Texts(list(found.test["text"])), bench.pick(8, 2)
    with ExitStack() as stack:
        models = {"": Served.of(stack, bench.scratch / "state", train, ())}
        if auto_precision() != "fp32":
            flags = ("--serving-precision", "auto")
            models[_FAST] = Served.of(stack, bench.scratch / "state-fast", train, flags)
        check = stack.enter_context(health_check(models[""].address))
        alone = _alone(models, check, texts, bench.pick(300, 60))
        many = asyncio.run(_many(models, texts, bench.pick(12, 4), rounds))
        told = [_told(name, served) for name, served in models.items() if name]
    return Report(
        "predict",
        "What a prediction over gRPC costs on top of the encoder's own forward pass.",
        f"{found.origin}, each text made new by a few words of its own in front",
        [Table(_LATENCY, _latency_rows(alone)), Table(_THROUGHPUT, _throughput_rows(many))],
        [
            "The raw pass is transformers' model on token ids that are ready: no tokenizer, no head, no server. "
            f"Client, server and raw pass share the cores of one machine, and take turns of {_IN_A_ROW} calls.",
            f"Throughput sends {_CALLERS * rounds} texts at a time, {_CALLERS} at any time, each in a call of its own.",
            *told,
        ],
    )


@dataclass(frozen=True)
class Served:
    """A model on a server of its own."""

    address: str
    client: headstart.Client
    model: str

    @classmethod
    def of(cls, stack: ExitStack, state: Path, train: Path, flags: Sequence[str]) -> "Served":
        """Trains it."""
        address = stack.enter_context(running_server(state, train.parent, flags=flags))
        client = stack.enter_context(headstart.Client(address))
        return cls(address, client, follow(client, text_spec("text", "label", trainer={"epochs": 5}), train).model)


def _told(name: str, served: Served) -> str:
    found = served.client.models.get(served.model).served_precision
    return (
        f"{name.removeprefix(', ')}: {found.precision}. Of {found.rows} rows of the model's sample "
        f"{found.changed_answers} got another answer than in fp32, and no probability differs by more than "
        f"{found.largest_difference:.4f}."
    )


class Texts:
    """Texts that nobody has seen, however often one asks."""

    def __init__(self, texts: list[str]) -> None:
        self._texts, self._seed = texts, 0

    def next(self, count: int) -> list[str]:
        self._seed += 1
        return unseen(random.Random(self._seed).choices(self._texts, k=count), self._seed)


class Raw:
    """The encoder's forward pass in this process, on token ids that are ready."""

    def __init__(self) -> None:
        self._model = plain_model()

    def seconds(self, texts: list[str]) -> float:
        """The time of one batch, on every core. Equal lengths need no mask, as in the server."""
        rows = tokens_of(texts)
        batch = padded(rows)
        mask = batch["attention_mask"]
        inputs: dict[str, Any] = batch if len({len(row) for row in rows}) > 1 else {"input_ids": batch["input_ids"]}

        def forward() -> None:
            with torch.inference_mode():
                mean_pooled(self._model(**inputs).last_hidden_state, mask)
            synchronise()

        return elapsed(forward)

    def seconds_on_one_thread(self, texts: list[str]) -> float:
        """The same on one core: a short text has too little work to share."""
        with one_thread():
            return self.seconds(texts)


def _alone(
    models: Mapping[str, Served], check: Callable[[], object], texts: Texts, repetitions: int
) -> dict[str, Sample]:
    """One caller; served, raw and empty calls take turns over the same texts."""
    raw = Raw()
    current = texts.next(1)

    def served(by: Served) -> float:
        current[:] = texts.next(1)
        return elapsed(lambda: by.client.predict(by.model, {"text": current}))

    contenders: dict[str, Callable[[], float]] = {
        _RAW: lambda: raw.seconds(current),
        _RAW + _SINGLE: lambda: raw.seconds_on_one_thread(current),
        **{_SERVED + name: partial(served, by) for name, by in models.items()},
        _ECHO: lambda: elapsed(check),
    }
    return interleaved(contenders, repetitions // _IN_A_ROW, warm_up=2, in_a_row=1 + _IN_A_ROW)


async def _many(models: Mapping[str, Served], texts: Texts, repetitions: int, rounds: int) -> dict[str, Sample]:
    """Seconds per text with many callers, in turns with raw batches of as many."""
    raw, rows, found = Raw(), _CALLERS * rounds, defaultdict[str, list[float]](list)
    async with AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(headstart.AsyncClient(by.address)) for name, by in models.items()
        }
        for _ in range(1 + repetitions):
            for name, client in clients.items():
                seconds = await _served(client, models[name].model, texts.next(rows))
                found[_SERVED_MANY + name].append(seconds / rows)
            batches = [texts.next(_CALLERS) for _ in range(rounds)]
            found[_RAW_MANY].append(sum(map(raw.seconds, batches)) / rows)
            found[_RAW_MANY + _SINGLE].append(sum(map(raw.seconds_on_one_thread, batches)) / rows)
    return {name: Sample(tuple(values[1:])) for name, values in found.items()}


async def _served(client: headstart.AsyncClient, model: str, texts: list[str]) -> float:
    """Seconds until all texts are answered."""
    waiting = list(texts)
    loop = asyncio.get_running_loop()

    async def caller() -> None:
        while waiting:
            await client.predict(model, {"text": [waiting.pop()]})

    start = loop.time()
    await asyncio.gather(*(caller() for _ in range(_CALLERS)))
    return loop.time() - start


def _latency_rows(samples: dict[str, Sample]) -> list[dict[str, object]]:
    raw = min(samples[_RAW].median, samples[_RAW + _SINGLE].median)
    return [
        {
            "work": name,
            "median": sample.median * 1e3,
            "p99": sample.percentile(0.99) * 1e3,
            "added": (sample.median - raw) * 1e3 if name.startswith(_SERVED) else None,
            "spread": sample.spread,
        }
        for name, sample in samples.items()
    ]


def _throughput_rows(samples: dict[str, Sample]) -> list[dict[str, object]]:
    raw = min(samples[_RAW_MANY].median, samples[_RAW_MANY + _SINGLE].median)
    return [
        {"work": name, "rows_per_second": 1 / sample.median, "share": raw / sample.median, "spread": sample.spread}
        for name, sample in samples.items()
    ]
