"""What a prediction of one short text costs over a call that computes nothing, step by step."""

import json
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import headstart

from benchmarks.predict import Raw, Texts
from benchmarks.support.clock import Sample, elapsed, interleaved
from benchmarks.support.corpus import corpus, take, write_csv
from benchmarks.support.jobs import follow, text_spec
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import health_check, running_server
from benchmarks.support.timed_server import STEPS_FILE

_IN_A_ROW = 10
_PREDICT = "Predict"
_EMPTY = "GetServerInfo, which computes nothing"
_HEALTH = "a health check"
_RAW = "raw forward pass, all cores"
_RAW_SINGLE = "raw forward pass, one thread"
_CALLS = (
    Column("work", "one caller, one text"),
    Column("median", "median ms", "{:.2f}"),
    Column("p99", "p99 ms", "{:.2f}"),
    Column("over", "over the empty call, ms", "{:+.2f}"),
    Column("spread", "spread", "{:.0%}"),
)
_STEPS = (
    Column("work", "step of Predict"),
    Column("median", "median µs", "{:,.0f}"),
    Column("p99", "p99 µs", "{:,.0f}"),
    Column("share", "of the call", "{:.1%}"),
)
Times = Mapping[str, float]
PARTS: Mapping[str, Callable[[Times], float]] = {
    "call: who asks, deadline, log, metrics": lambda step: step["call"] - step["servicer"],
    "parse: message to columns": lambda step: step["parse"],
    "parse: columns to one of few types": lambda step: step["table"],
    "tokenize": lambda step: step["tokenize"],
    "rows: other columns, checks": lambda step: step["rows"] - step["tokenize"],
    "permit, model, counts": lambda step: (
        step["service"] - step["parse"] - step["table"] - step["rows"] - step["batch"] - step["decode"]
    ),
    "batch: queue, to the computing thread and back": lambda step: step["batch"] - step["model"],
    "forward: encoder": lambda step: step["encoder"],
    "forward: head": lambda step: step["model"] - step["encoder"],
    "decode: numbers to labels": lambda step: step["decode"],
    "answer: labels to a message": lambda step: step["servicer"] - step["service"],
}
"""Seconds of each part of a call, of the steps that `timed_server` notes."""


def run(bench: Bench) -> Report:
    """A model trained on some rows answers texts that the store has never seen, one at a time."""
    found = corpus(bench.data_root, "text/sst2")
    data_root, steps = bench.scratch / "data", bench.scratch / "steps.json"
    os.environ[STEPS_FILE] = str(steps)
    module = "benchmarks.support.timed_server"
    with running_server(bench.scratch / "state", data_root, module=module) as address:
        train = write_csv(data_root / "train.csv", take(found.train, range(bench.pick(1_000, 200))))
        with headstart.Client(address) as client, health_check(address) as check:
            model = follow(client, text_spec("text", "label", trainer={"epochs": 5}), train).model
            samples = _alone(client, check, model, Texts(_short(found.test["text"])), bench.pick(600, 60))
    return Report(
        "predict_steps",
        "What a prediction of one short text costs over a call that computes nothing, step by step.",
        f"{found.origin}, texts of at most eight words, each made new by a few words of its own in front",
        [Table(_CALLS, _call_rows(samples)), Table(_STEPS, _step_rows(steps, samples[_PREDICT]))],
        [
            "Steps are timed in the server, which notes them at a microsecond each; what no step holds is gRPC, on "
            "both sides, and the client. The raw pass runs in the client's process, on token ids that are ready.",
            f"Contenders take turns of {_IN_A_ROW} calls.",
        ],
    )


def _short(texts: Sequence[str]) -> list[str]:
    return [text for text in texts if len(text.split()) <= 8] or list(texts)


def _alone(
    client: headstart.Client, check: Callable[[], object], model: str, texts: Texts, repetitions: int
) -> dict[str, Sample]:
    raw, current = Raw(), texts.next(1)

    def served() -> float:
        current[:] = texts.next(1)
        return elapsed(lambda: client.predict(model, {"text": current}))

    contenders: dict[str, Callable[[], float]] = {
        _PREDICT: served,
        _EMPTY: lambda: elapsed(client.server_info),
        _HEALTH: lambda: elapsed(check),
        _RAW: lambda: raw.seconds(current),
        _RAW_SINGLE: lambda: raw.seconds_on_one_thread(current),
    }
    return interleaved(contenders, repetitions // _IN_A_ROW, warm_up=2, in_a_row=1 + _IN_A_ROW)


def _call_rows(samples: Mapping[str, Sample]) -> list[dict[str, object]]:
    return [
        {
            "work": name,
            "median": sample.median * 1e3,
            "p99": sample.percentile(0.99) * 1e3,
            "over": (sample.median - samples[_EMPTY].median) * 1e3 if name != _EMPTY else None,
            "spread": sample.spread,
        }
        for name, sample in samples.items()
    ]


def _step_rows(path: Path, whole: Sample) -> list[dict[str, object]]:
    """The parts of the calls that were predictions, and what the client sees beyond them."""
    calls = [call for call in json.loads(path.read_text()) if "model" in call][-len(whole.seconds) :]
    parts = {name: Sample(tuple(part(call) for call in calls)) for name, part in PARTS.items()}
    rows: list[dict[str, object]] = [
        {
            "work": name,
            "median": sample.median * 1e6,
            "p99": sample.percentile(0.99) * 1e6,
            "share": sample.median / whole.median,
        }
        for name, sample in parts.items()
    ]
    outside = whole.median - statistics.median(call["call"] for call in calls)
    return [*rows, {"work": "gRPC and client", "median": outside * 1e6, "share": outside / whole.median}]
