"""What callers get of a server that is offered more than it can compute: accepted answers, refusals, wasted work."""

import asyncio
import multiprocessing
import random
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import headstart
import numpy as np
from headstart.v1 import prediction_pb2, table_pb2
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.support.cheap_caller import OK, RESOURCE_EXHAUSTED, CheapCaller, cheap_caller
from benchmarks.support.corpus import corpus, take, write_csv
from benchmarks.support.generated import unseen
from benchmarks.support.jobs import follow, text_spec
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import free_port, running_server

_PATH = "/headstart.v1.PredictionService/Predict"
_DEADLINE_SECONDS = 2.0
_CALLERS = 16
"""Of a server that is kept busy, to find out how much it can compute."""
_PAUSE_SECONDS = 0.05
_LOADS = (0.5, 1.0, 4.0)
_MOST_IN_FLIGHT = 2_000
_REST_SECONDS = 12.0
"""Between loads, so that each begins as a surprise: a server remembers an overload for some seconds."""
_COLUMNS = (
    Column("load", "offered"),
    Column("calls", "calls", "{:,}"),
    Column("rate", "answered /s", "{:.0f}"),
    Column("median", "accepted: median, ms", "{:.1f}"),
    Column("p99", "99th percentile, ms", "{:.1f}"),
    Column("ratio", "of one caller's", "{:.1f}×"),
    Column("half", "of half the load's", "{:.1f}×"),
    Column("refused", "refused", "{:.0%}"),
    Column("refusal", "refusals: median, ms", "{:.1f}"),
    Column("refusal_p99", "99th percentile, ms", "{:.1f}"),
    Column("late", "too late", "{:.1%}"),
    Column("wasted", "rows computed for nobody", "{:.1%}"),
    Column("memory", "memory, MiB", "{:+.0f}"),
)


def run(bench: Bench) -> Report:
    """One model, and ever more callers."""
    found = corpus(bench.data_root, "text/sst2")
    texts = list(found.test["text"])
    seconds = bench.pick(60.0, 8.0)
    data, port = bench.scratch / "data", free_port()
    with running_server(bench.scratch / "state", data, http_port=port) as address:
        table = write_csv(data / "train.csv", take(found.train, range(bench.pick(1_000, 200))))
        with headstart.Client(address) as client:
            model = follow(client, text_spec("text", "label", trainer={"epochs": 1}), table).model
        rows = _Offered(address, port, model, texts).measured(seconds)
    return Report(
        "overload",
        "What callers get of a server that is offered more than it can compute.",
        f"{found.origin}, each text made new by a few words of its own in front; one text per call",
        [Table(_COLUMNS, rows)],
        [
            f"Calls are made at random times, whatever has become of those before (a Poisson process), each with a "
            f"deadline of {_DEADLINE_SECONDS:g} s, and are not repeated. Each load begins at once, after a rest. What "
            "makes them shares the machine's cores, and takes little of them: it writes frames by hand.",
            f"What the server can compute is what {_CALLERS} callers get who ask again at once.",
        ],
    )


@dataclass
class _Outcome:
    """What became of some calls."""

    accepted: list[float] = field(default_factory=list)
    """Seconds of each."""
    refused: list[float] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


@dataclass(frozen=True)
class _Offered:
    """One server, and what is sent to it."""

    address: str
    http_port: int
    model: str
    texts: list[str]

    def measured(self, seconds: float) -> list[dict[str, Any]]:
        """A row per load."""
        self._asked(self.closed_loop, 1, min(seconds, 5.0))  # warms up
        alone = self._asked(self.closed_loop, 1, min(seconds, 20.0))
        busy = self._asked(self.closed_loop, _CALLERS, min(seconds, 20.0))
        capacity = len(busy.accepted) / busy.seconds
        unloaded = float(np.percentile(alone.accepted, 99))
        rows = [self._row("one caller at a time", alone, unloaded), self._row(f"{_CALLERS} callers", busy, unloaded)]
        for load in _LOADS:
            before = self._metrics()
            outcome = self._asked(self.open_loop, load * capacity, seconds)
            time.sleep(_REST_SECONDS)  # what the server still computes, it computes for nobody
            row = self._row(f"{load:g} × what it can ({load * capacity:.0f} /s)", outcome, unloaded)
            rows.append({**row, **self._spent(before)})
        half = next((row["p99"] for row in rows if str(row["load"]).startswith("0.5 ")), None)
        return [{**row, "half": row["p99"] / half if half else None} for row in rows]

    def _asked(self, how: Callable[..., Any], *arguments: float) -> _Outcome:
        """Has another process make the calls, so that its work is not this one's."""
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            return pool.apply(_in_process, (how, arguments))

    async def closed_loop(self, callers: int, seconds: float) -> _Outcome:
        """So many callers, each of which asks again once it is answered, or soon after a refusal."""
        outcome = _Outcome()

        async def caller(call: CheapCaller, requests: Iterator[bytes]) -> None:
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                if await _one(call, next(requests), outcome) != OK:
                    await asyncio.sleep(_PAUSE_SECONDS)

        start = time.perf_counter()
        async with cheap_caller(self.address, _PATH, _DEADLINE_SECONDS) as call:
            await asyncio.gather(*(caller(call, self._requests(number)) for number in range(callers)))
        outcome.seconds = time.perf_counter() - start
        return outcome

    async def open_loop(self, rate: float, seconds: float) -> _Outcome:
        """So many calls per second, at random times."""
        outcome, requests, calls = _Outcome(), self._requests(-1), set[asyncio.Task[Any]]()
        start = due = time.perf_counter()
        async with cheap_caller(self.address, _PATH, _DEADLINE_SECONDS) as call:
            while due < start + seconds:
                due += random.expovariate(rate)
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                if len(calls) >= _MOST_IN_FLIGHT:
                    outcome.codes["not sent"] += 1
                    continue
                task = asyncio.create_task(_one(call, next(requests), outcome))
                calls.add(task)
                task.add_done_callback(calls.discard)
            outcome.seconds = time.perf_counter() - start
            await asyncio.gather(*calls)
        return outcome

    def _requests(self, number: int) -> Iterator[bytes]:
        """Requests of one text each, which nobody has seen."""
        seed = random.Random(time.time_ns() ^ number)
        while True:
            text = unseen([seed.choice(self.texts)], seed.getrandbits(48))
            column = table_pb2.Column(name="text", strings=table_pb2.StringValues(values=text))
            table = table_pb2.Table(columns=[column])
            yield prediction_pb2.PredictRequest(model=self.model, table=table).SerializeToString()

    def _row(self, load: str, outcome: _Outcome, unloaded: float) -> dict[str, Any]:
        accepted, refused = np.array(outcome.accepted or [np.nan]), np.array(outcome.refused or [np.nan])
        calls = sum(outcome.codes.values())
        late = calls - len(outcome.accepted) - len(outcome.refused)
        return {
            "load": load,
            "calls": calls,
            "rate": len(outcome.accepted) / outcome.seconds,
            "median": float(np.median(accepted)) * 1e3,
            "p99": float(np.percentile(accepted, 99)) * 1e3,
            "ratio": float(np.percentile(accepted, 99)) / unloaded,
            "refused": len(outcome.refused) / calls,
            "refusal": float(np.median(refused)) * 1e3 if outcome.refused else None,
            "refusal_p99": float(np.percentile(refused, 99)) * 1e3 if outcome.refused else None,
            "late": late / calls,
            "codes": dict(outcome.codes),
        }

    def _spent(self, before: dict[str, float]) -> dict[str, object]:
        after = self._metrics()
        grown = {name: value - before.get(name, 0.0) for name, value in after.items()}
        computed = grown["answered"] + grown["wasted"]
        return {"wasted": grown["wasted"] / computed if computed else 0.0, "memory": grown["memory"] / (1 << 20)}

    def _metrics(self) -> dict[str, float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/metrics") as answer:
            families = text_string_to_metric_families(answer.read().decode())
        found = {"answered": 0.0, "wasted": 0.0}
        for sample in (sample for family in families for sample in family.samples):
            if sample.name == "headstart_predict_rows_total":
                found[sample.labels["outcome"]] = sample.value
            elif sample.name == "process_resident_memory_bytes":
                found["memory"] = sample.value
        return found


def _in_process(how: Callable[..., Any], arguments: tuple[float, ...]) -> _Outcome:
    outcome: _Outcome = asyncio.run(how(*arguments))
    return outcome


async def _one(call: CheapCaller, request: bytes, outcome: _Outcome) -> int | None:
    """Makes one call, and notes what became of it."""
    code, seconds = await call.call(request)
    if code == OK:
        outcome.accepted.append(seconds)
    elif code == RESOURCE_EXHAUSTED:
        outcome.refused.append(seconds)
    outcome.codes["late" if code is None else str(code)] += 1
    return code
