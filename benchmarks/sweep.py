"""A sweep of head settings over stored embeddings, beside the head fits alone."""

import statistics
import time
from pathlib import Path
from typing import Any

import headstart
import torch
from torch import Tensor, nn

from benchmarks.support.corpus import corpus, take, write_csv
from benchmarks.support.embedding import EmbeddingPass, text_plan
from benchmarks.support.engine import Engine
from benchmarks.support.jobs import follow, text_spec
from benchmarks.support.machine import one_thread
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import running_server

_ROWS, _TEST_ROWS, _EPOCHS = 6_920, 1_000, 10
_PARAMETERS = {
    "trainer.learning_rate": {"min": 1e-4, "max": 3e-2, "scale": "log"},
    "trainer.optimizer.weight_decay": {"min": 1e-3, "max": 1.0, "scale": "log"},
}
_COLUMNS = (
    Column("work", "work"),
    Column("seconds", "s", "{:.1f}"),
    Column("ratio", "times the fits alone", "{:.2f}"),
    Column("encoded", "rows encoded"),
    Column("best", "best validation accuracy", "{:.3f}"),
)


def run(bench: Bench) -> Report:
    """One job with a sweep, and as many bare loops over the same rows, in turns."""
    found, trials = corpus(bench.data_root, "text/sst2"), bench.pick(100, 5)
    rows = bench.pick(_ROWS, 600)
    train, test = take(found.train, range(rows)), take(found.test, range(bench.pick(_TEST_ROWS, 100)))
    folder = bench.scratch / "data"
    folder.mkdir()
    parts = (write_csv(folder / "train.csv", train), write_csv(folder / "test.csv", test))
    matrix = (
        EmbeddingPass(text_plan(), list(train["text"])).into(Engine(bench.scratch).runtime.layout.embeddings).float()
    )
    names = sorted(set(train["label"]))
    labels = torch.tensor([names.index(label) for label in train["label"]])
    jobs, alone, encoded, best = list[float](), list[float](), 0, 0.0
    with running_server(bench.scratch / "state", folder) as address, headstart.Client(address) as client:
        follow(client, text_spec("text", "label", trainer={"epochs": 1}), *parts)
        for repeat in range(bench.pick(3, 1)):
            seconds, more, best = _swept(client, parts, trials, repeat)
            jobs.append(seconds)
            encoded += more
            with one_thread():
                alone.append(_fits(matrix, labels, trials))
    ratios = [ours / theirs for ours, theirs in zip(jobs, alone, strict=True)]
    return Report(
        "sweep",
        f"A sweep of {trials} head settings over {rows:,} stored rows, {_EPOCHS} epochs each.",
        found.origin,
        [
            Table(
                _COLUMNS,
                [
                    {
                        "work": "the job: rows read, embeddings gathered, trials, the best trained and published",
                        "seconds": statistics.median(jobs),
                        "ratio": statistics.median(ratios),
                        "encoded": encoded,
                        "best": best,
                    },
                    {
                        "work": f"{trials} bare torch loops: fused AdamW, one thread",
                        "seconds": statistics.median(alone),
                    },
                ],
            )
        ],
        [
            f"Medians of {len(jobs)} turns. The loops take a tenth of the rows away and are evaluated on it after "
            "every epoch, as the trials are; they report nothing."
        ],
    )


def _swept(client: headstart.Client, parts: tuple[Path, Path], trials: int, seed: int) -> tuple[float, int, float]:
    """(seconds of the job, rows that were encoded, the best value)."""
    trainer = {"epochs": _EPOCHS, "early_stop": -1, "random_seed": seed}
    spec: dict[str, Any] = text_spec("text", "label", trainer=trainer)
    job = follow(client, {**spec, "sweep": {"trials": trials, "parameters": _PARAMETERS}}, *parts)
    board = client.jobs.get(client.models.get(job.model).job).trials
    if len(board) != trials:
        raise RuntimeError(f"{len(board)} of {trials} trials are told")
    return job.seconds, job.encoded, board[0].value


def _fits(matrix: Tensor, labels: Tensor, trials: int) -> float:
    """Seconds that so many bare loops take."""
    held_out = len(matrix) // 10
    inputs, targets, batch = matrix[held_out:], labels[held_out:], 128
    started = time.perf_counter()
    for _ in range(trials):
        model = nn.Linear(matrix.shape[1], int(labels.max()) + 1)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
        for _ in range(_EPOCHS):
            for rows in torch.split(torch.randperm(len(inputs)), batch):
                torch.autograd.backward(nn.functional.cross_entropy(model(inputs[rows]), targets[rows]))
                optimizer.step()
                optimizer.zero_grad()
            with torch.inference_mode():
                found = model(matrix[:held_out])
                nn.functional.cross_entropy(found, labels[:held_out]).item()
                (found.argmax(1) == labels[:held_out]).float().mean().item()
    return time.perf_counter() - started
