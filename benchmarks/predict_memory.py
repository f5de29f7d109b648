"""Peak memory of a server under the largest requests that it takes, above what it holds when it is idle."""

import os
import random
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import headstart

from benchmarks.support.jobs import follow, text_spec
from benchmarks.support.processes import descendants
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import running_server

_SERVER = "headstart_server.app"
_MEGABYTE = 1_000_000
_WORDS = (
    "the",
    "film",
    "dull",
    "tale",
    "honest",
    "people",
    "good",
    "songs",
    "awful",
    "jokes",
    "nobody",
    "asked",
    "for",
)
_COLUMNS = (
    Column("request", "request"),
    Column("sent", "sent, MB", "{:.0f}"),
    Column("answer", "answer"),
    Column("memory", "peak above idle, MB", "{:.0f}"),
    Column("seconds", "seconds", "{:.1f}"),
)


def run(bench: Bench) -> Report:
    """Each request in turn; the server's peak is forgotten between them where the kernel allows it."""
    count, size = bench.pick(10_000, 1_000), 5_000
    data = bench.scratch / "data"
    data.mkdir(parents=True)
    train = data / "train.csv"
    train.write_text("text,label\n" + "a good film,good\na bad film,bad\n" * 50)
    texts, one = [_text(size, row) for row in range(count)], _text(count * size * 6 // 10, count)
    longer = [_text(10 * size, row) for row in range(count // 10)]
    with running_server(bench.scratch / "state", data) as address, headstart.Client(address) as client:
        model = follow(client, text_spec("text", "label", trainer={"epochs": 1}), train).model
        server = _Server()

        def predict(values: list[str]) -> None:
            client.predict(model, {"text": values})

        def at_once(values: list[str]) -> None:
            with ThreadPoolExecutor(4) as callers:
                list(callers.map(predict, [values] * 4))

        predict(["a good film"])
        rows = [
            server.measured(f"{count:,} texts of {size:,} characters", texts, predict),
            server.measured("one text", [one], predict),
            server.measured("one word", ["x" * len(one)], predict),
            server.measured(f"{len(longer):,} texts of {10 * size:,}, by 4 callers", longer, at_once),
        ]
    return Report(
        "predict_memory",
        "What a large request adds to the memory of a server.",
        "random words, the encoder all-MiniLM-L6-v2",
        [Table(_COLUMNS, rows)],
        [f"An idle server with one model loaded holds {server.idle / _MEGABYTE:,.0f} MB, most of it torch."],
    )


class _Server:
    """The server below this process."""

    def __init__(self) -> None:
        pids = [pid for pid in descendants(os.getpid()) if _SERVER in Path(f"/proc/{pid}/cmdline").read_text()]
        self._folder = Path(f"/proc/{pids[0]}")
        self.idle = 0

    def measured(self, name: str, texts: list[str], send: Callable[[list[str]], None]) -> dict[str, object]:
        """A row of the table: what became of a request, and what it took."""
        (self._folder / "clear_refs").write_text("5")
        self.idle = self.idle or self._field("VmRSS")
        start, answer = time.perf_counter(), "predicted"
        try:
            send(texts)
        except headstart.HeadstartError as error:
            answer = error.code.name if error.code else "failed"
        seconds = time.perf_counter() - start
        memory = (self._field("VmHWM") - self.idle) / _MEGABYTE
        return {
            "request": name,
            "sent": sum(map(len, texts)) / _MEGABYTE,
            "answer": answer,
            "memory": memory,
            "seconds": seconds,
        }

    def _field(self, name: str) -> int:
        found = re.search(rf"^{name}:\s*(\d+) kB$", (self._folder / "status").read_text(), re.MULTILINE)
        if found is None:
            raise RuntimeError("peak memory is read from /proc, which this system lacks")
        return int(found.group(1)) * 1024


def _text(characters: int, seed: int) -> str:
    """Random words, that many characters of them."""
    return " ".join(random.Random(seed).choices(_WORDS, k=characters // 2))[:characters]
