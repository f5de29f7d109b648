"""One epoch over stored embeddings: our loop, with its metrics and reports, beside loops that only train."""

import statistics
from collections.abc import Callable

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.support.clock import Sample, elapsed, interleaved
from benchmarks.support.corpus import Columns, corpus, take
from benchmarks.support.embedding import EmbeddingPass, text_plan
from benchmarks.support.engine import Engine
from benchmarks.support.jobs import text_spec
from benchmarks.support.ludwig import VERSION, Ludwig
from benchmarks.support.machine import device, one_thread, synchronise
from benchmarks.support.report import RECORDED, Column, Report, Table
from benchmarks.support.scale import Bench

_ROWS, _BATCH = 6_919, 128
_RECORDED = 0.14
_OURS = "headstart"
_COLUMNS = (
    Column("work", "one epoch"),
    Column("milliseconds", "ms", "{:.1f}"),
    Column("spread", "spread", "{:.0%}"),
    Column("ours_over", f"{_OURS} is faster by", "{:.2f}×"),
    Column("recorded", f"ms, {RECORDED}", "{:.0f}"),
)


def run(bench: Bench) -> Report:
    """Everybody trains one linear layer on the same stored embeddings."""
    found = corpus(bench.data_root, "text/sst2")
    rows = bench.pick(_ROWS, 1_024)
    train, validation = take(found.train, range(rows)), take(found.test, range(256))
    engine = Engine(bench.scratch)
    epochs = bench.pick(10, 5)
    ours = _ours(engine, train, validation, epochs)
    ours()  # fills the store
    embeddings = EmbeddingPass(text_plan(), list(train["text"])).into(engine.runtime.layout.embeddings).float()
    names = sorted(set(train["label"]))
    labels = torch.tensor([names.index(label) for label in train["label"]])
    samples = interleaved(
        {
            _OURS: ours,
            "plain torch loop: DataLoader, AdamW": lambda: _plain(embeddings, labels, epochs),
            "the same on one thread": lambda: _on_one_thread(_plain, embeddings, labels, epochs),
            "a bare torch loop: fused AdamW, one thread": lambda: _on_one_thread(_bare, embeddings, labels, epochs),
            "scikit-learn: LogisticRegression, the whole fit": lambda: _logistic(embeddings, labels),
        },
        bench.pick(7, 3),
    )
    ludwig = Ludwig.found(bench.scratch)
    if ludwig is not None:
        samples[VERSION] = Sample(ludwig.measure(train, trainable=False, epochs=epochs, batch_size=_BATCH).epochs)
    return Report(
        "stored_epoch",
        f"How long one epoch over {rows:,} stored embeddings takes, batch {_BATCH}.",
        found.origin,
        [Table(_COLUMNS, _rows(samples))],
        [
            f"Medians of {epochs} epochs a time. Ours reports progress, checks for cancellation and computes the "
            "running metrics; the torch loops do not.",
            "Ours takes one thread for models this small. The bare loop is the floor of one optimizer step after "
            "another in this framework.",
        ],
    )


def _ours(engine: Engine, train: Columns, validation: Columns, epochs: int) -> Callable[[], float]:
    """The median epoch of a whole job, as its loop reports it."""
    spec = text_spec("text", "label", trainer={"epochs": epochs, "batch_size": _BATCH, "early_stop": -1})
    spec["preprocessing"] = {"split": {"probabilities": [1.0, 0.0, 0.0]}}
    return lambda: statistics.median(report.train_seconds for report in engine.train(spec, train, validation))


def _plain(embeddings: Tensor, labels: Tensor, epochs: int) -> float:
    """What the tutorial says."""
    loader = DataLoader(TensorDataset(embeddings, labels), batch_size=_BATCH, shuffle=True)
    model = nn.Linear(embeddings.shape[1], int(labels.max()) + 1).to(device())
    optimizer, loss = torch.optim.AdamW(model.parameters(), lr=1e-3), nn.CrossEntropyLoss()

    def epoch() -> None:
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss(model(inputs.to(device())), targets.to(device())).backward()
            optimizer.step()
        synchronise()

    return statistics.median(elapsed(epoch) for _ in range(epochs))


def _bare(embeddings: Tensor, labels: Tensor, epochs: int) -> float:
    """As little as a loop over batches can do: resident rows, one gather a step, the fused optimizer."""
    inputs, targets = embeddings.to(device()), labels.to(device())
    model = nn.Linear(embeddings.shape[1], int(labels.max()) + 1).to(device())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def epoch() -> None:
        for rows in torch.split(torch.randperm(len(inputs), device=device()), _BATCH):
            torch.autograd.backward(nn.functional.cross_entropy(model(inputs[rows]), targets[rows]))
            optimizer.step()
            optimizer.zero_grad()
        synchronise()

    return statistics.median(elapsed(epoch) for _ in range(epochs))


def _on_one_thread(
    loop: Callable[[Tensor, Tensor, int], float], embeddings: Tensor, labels: Tensor, epochs: int
) -> float:
    with one_thread():
        return loop(embeddings, labels, epochs)


def _logistic(embeddings: Tensor, labels: Tensor) -> float:
    matrix, targets = embeddings.numpy(), np.asarray(labels)
    return elapsed(lambda: LogisticRegression(max_iter=1_000).fit(matrix, targets))


def _rows(samples: dict[str, Sample]) -> list[dict[str, object]]:
    ours = samples[_OURS].median
    rows: list[dict[str, object]] = [
        {
            "work": name,
            "milliseconds": sample.median * 1e3,
            "spread": sample.spread,
            "ours_over": None if name == _OURS else sample.median / ours,
        }
        for name, sample in samples.items()
    ]
    return rows if VERSION in samples else [*rows, {"work": f"{VERSION}, {_ROWS:,} rows", "recorded": _RECORDED * 1e3}]
