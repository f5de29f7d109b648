"""What callers wait for small answers while a server is as busy as it gets: exports, embeddings, uploads in flight."""

import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import headstart
import numpy as np
from headstart_server.core.priority import lower_priority

from benchmarks.support.jobs import follow, text_feature, text_spec
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import running_server

_MODELS, _EMBEDS, _UPLOADS = 6, 7, 2
_SETTLE_SECONDS = 5.0
_COLUMNS = (
    Column("what", "what"),
    Column("server", "server"),
    Column("count", "measured", "{:,}"),
    Column("median", "median, ms", "{:.1f}"),
    Column("p99", "99th percentile, ms", "{:.1f}"),
    Column("longest", "longest, ms", "{:.1f}"),
)
_BUSY = f"{_MODELS} exports, {_EMBEDS} x Embed of 1,500 texts, {_UPLOADS} uploads of 200 MB"


def run(bench: Bench) -> Report:
    """The same calls to an idle server, then to a busy one."""
    data = bench.scratch / "data"
    table, numbers = _files(data)
    with running_server(bench.scratch / "state", data) as address, headstart.Client(address) as client:
        specs = [text_spec("text", "label", trainer={"epochs": 1, "random_seed": seed}) for seed in range(_MODELS)]
        models = [follow(client, spec, table).model for spec in specs]
        asked = next(iter(client.jobs.list())).name
        steady = _Steady(client, numbers)
        idle = _measured(lambda: client.jobs.get(asked), bench.pick(10.0, 3.0))
        before = steady.lags()
        size, seconds = bench.pick(200_000_000, 20_000_000), bench.pick(30.0, 8.0)
        with _busy(_Load(address, models, bench.scratch, size, embeds=0)):
            files = _measured(lambda: client.jobs.get(asked), seconds)
        steady.lags()
        with _busy(_Load(address, models, bench.scratch, size)) as ended:
            busy = _measured(lambda: client.jobs.get(asked), seconds)
            during = steady.lags()
        steady.stop()
    results = [
        _row("GetTrainJob", "idle", idle),
        _row("GetTrainJob", "exports and uploads", files),
        _row("GetTrainJob", "busy", busy),
        _row("a job's event, from its time until it is here", "idle", before),
        _row("a job's event, from its time until it is here", "busy", during),
    ]
    return Report(
        "responsiveness",
        "What small answers take while large ones are made.",
        "all-MiniLM-L6-v2, a job that trains all the while",
        [Table(_COLUMNS, results)],
        [
            f"Exports and uploads: {_MODELS} and {_UPLOADS}. Busy: {_BUSY}.",
            "What sends them runs at the lowest priority, as if it were on another machine: "
            "its uploads take what the server leaves of the cores, and are slower than a loopback could be.",
            "Meanwhile ended: " + ", ".join(f"{count} {what}" for what, count in ended.items()) + ".",
        ],
    )


def _files(data: Path) -> tuple[Path, Path]:
    """Texts and numbers to train on."""
    data.mkdir(parents=True)
    table, numbers = data / "texts.csv", data / "numbers.csv"
    rows = (f"film {row} was {'good' if row % 2 else 'bad'},{row % 2}\n" for row in range(200))
    table.write_text("text,label\n" + "".join(rows))
    numbers.write_text("x,y\n" + "".join(f"{row},{row % 2}\n" for row in range(400)))
    return table, numbers


def _measured(call: Callable[[], object], seconds: float) -> list[float]:
    """Seconds of each of many calls, one every 20 ms."""
    found, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
        time.sleep(0.02)
    return found


def _row(what: str, server: str, seconds: list[float]) -> dict[str, object]:
    found = np.array(seconds or [np.nan]) * 1_000
    return {
        "what": what,
        "server": server,
        "count": len(seconds),
        "median": float(np.median(found)),
        "p99": float(np.percentile(found, 99)),
        "longest": float(found.max()),
    }


class _Steady:
    """A job that trains on numbers until it is stopped, and the lag of each of its events."""

    def __init__(self, client: headstart.Client, data: Path) -> None:
        spec = {
            "input_features": [{"name": "x", "type": "number"}],
            "output_features": [{"name": "y", "type": "binary"}],
            "trainer": {"epochs": 100_000, "batch_size": 32, "early_stop": -1},
        }
        self._run = client.train(spec, data)
        self._lags: list[float] = []
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        while len(self._lags) < 20:
            time.sleep(0.1)

    def lags(self) -> list[float]:
        """Seconds, of the events since the last call."""
        found, self._lags = self._lags, []
        return found

    def stop(self) -> None:
        """Cancels it."""
        self._run.cancel()
        self._thread.join(60)

    def _follow(self) -> None:
        for event in self._run:
            self._lags.append(time.time() - event.time.ToNanoseconds() / 1e9)


@dataclass(frozen=True)
class _Load:
    """Everything that keeps a server busy, again and again until it is stopped."""

    address: str
    models: list[str]
    scratch: Path
    upload_bytes: int
    embeds: int = _EMBEDS

    def run(self, stop: Any, ended: Any) -> None:
        """Works on many threads; counts what ended, by kind.

        With what the server leaves of the cores: callers have machines of their own, which share none with it.
        """
        os.setsid()
        lower_priority(19)
        work = [
            *((self._export, model) for model in self.models),
            *((self._embed, str(number)) for number in range(self.embeds)),
            *((self._upload, str(number)) for number in range(_UPLOADS)),
        ]
        threads = [threading.Thread(target=self._again, args=(*item, stop, ended), daemon=True) for item in work]
        for thread in threads:
            thread.start()
        stop.wait()

    def _again(self, call: Callable[[headstart.Client, str, int], str], name: str, stop: Any, ended: Any) -> None:
        with headstart.Client(self.address) as client:
            for turn in count():
                if stop.is_set():
                    return
                try:
                    ended.put(call(client, name, turn))
                except headstart.HeadstartError as error:
                    ended.put(f"refused ({error.code})")
                    time.sleep(0.5)

    def _export(self, client: headstart.Client, model: str, turn: int) -> str:
        format = "onnx" if turn % 2 == 0 else "torchscript"
        exported: Any = client.export(model, format=format)
        client.artifacts.delete(exported.artifact.name)  # so that the next is made anew
        return "exports"

    def _embed(self, client: headstart.Client, name: str, turn: int) -> str:
        texts = [f"the film {row} of {name} in turn {turn} was not what anybody had hoped for" for row in range(1_500)]
        client.embed(text_feature("text"), {"text": texts})
        return "answers of Embed"

    def _upload(self, client: headstart.Client, name: str, turn: int) -> str:
        path = self.scratch / f"upload-{name}.csv"
        line = f"a cell of upload {name} and turn {turn},1\n"
        path.write_text("a,b\n" + line * (self.upload_bytes // len(line)))
        client.datasets.delete(client.upload_dataset(path).name)
        return "uploads"


@contextmanager
def _busy(load: _Load) -> Iterator[Counter[str]]:
    """Has another process load the server; counts what ended, once it is left."""
    spawn, found = multiprocessing.get_context("spawn"), Counter[str]()
    stop, ended = spawn.Event(), spawn.Queue()
    process = spawn.Process(target=load.run, args=(stop, ended), daemon=True)
    process.start()
    time.sleep(_SETTLE_SECONDS)
    try:
        yield found
    finally:
        stop.set()
        while not ended.empty():
            found[ended.get()] += 1
        process.kill()
        process.join()
