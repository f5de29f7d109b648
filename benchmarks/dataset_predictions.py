"""Predictions of a data set as a file, beside the embedding pass alone over the same rows."""

import time
from functools import partial
from pathlib import Path

import headstart

from benchmarks.support.clock import elapsed
from benchmarks.support.corpus import Columns, corpus, take, write_csv
from benchmarks.support.embedding import EmbeddingPass, text_plan
from benchmarks.support.jobs import follow, text_spec
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import running_server

_COLUMNS = (
    Column("work", "work"),
    Column("rows", "rows", "{:,}"),
    Column("seconds", "s", "{:,.1f}"),
    Column("rows_per_second", "rows/s", "{:,.0f}"),
    Column("ratio", "times the pass", "{:.2f}"),
)


def run(bench: Bench) -> Report:
    """Half of the pass, the file, the other half, so that a machine that changes its speed does so for both."""
    found = corpus(bench.data_root, "text/sst2")
    texts = _distinct(found.train, bench.pick(100_000, 1_000))
    folder = bench.scratch / "data"
    folder.mkdir()
    write_csv(folder / "rows.csv", {"text": texts})
    train = write_csv(folder / "train.csv", take(found.train, range(bench.pick(2_000, 200))))
    half = len(texts) // 2
    with running_server(bench.scratch / "state", folder) as address, headstart.Client(address) as client:
        spec = text_spec("text", "label", trainer={"epochs": 1}, precision="fp32")
        model = follow(client, spec, train).model
        first = _passed(texts[:half], bench.scratch / "first")
        new = elapsed(partial(_predicted, client, model, probabilities=False))
        seconds = first + _passed(texts[half:], bench.scratch / "second")
        stored = elapsed(partial(_predicted, client, model, probabilities=True))
    rows = len(texts)
    return Report(
        "dataset_predictions",
        "A data set predicted into a file on the server, whose encoder has read none of its rows, or all.",
        f"{found.origin}; {rows:,} distinct rows, all-MiniLM-L6-v2, fp32",
        [
            Table(
                _COLUMNS,
                [
                    {
                        "work": work,
                        "rows": rows,
                        "seconds": each,
                        "rows_per_second": rows / each,
                        "ratio": seconds / each,
                    }
                    for work, each in (
                        ("the embedding pass alone: hashed, encoded, stored, gathered", seconds),
                        ("the file, nothing stored", new),
                        ("another file of the same rows, all stored", stored),
                    )
                ],
            )
        ],
        [
            "Rows are the corpus's, told apart by a number at their end. The file's time is the client's, from the "
            "call to the artifact: a process that starts, the CSV file read, rows encoded and answered, the file "
            "written and published. Weights of the pass are loaded beforehand.",
        ],
    )


def _distinct(columns: Columns, count: int) -> list[str]:
    texts = list(dict.fromkeys(columns["text"]))
    return [f"{texts[row % len(texts)]} {row // len(texts)}" for row in range(count)]


def _passed(texts: list[str], store: Path) -> float:
    embedding_pass = EmbeddingPass(text_plan("fp32"), texts)
    started = time.perf_counter()
    embedding_pass.into(store)
    return time.perf_counter() - started


def _predicted(client: headstart.Client, model: str, *, probabilities: bool) -> None:
    client.predict_to_file(model, headstart.ServerPath("rows.csv"), probabilities=probabilities)
