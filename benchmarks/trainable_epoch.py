"""One epoch with a trainable encoder: our loop beside the fine-tuning loop of the textbooks."""

import random
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.support.clock import Sample, elapsed, interleaved
from benchmarks.support.corpus import Columns, corpus, take
from benchmarks.support.encoder import mean_pooled, padded, plain_model, tokens_of
from benchmarks.support.engine import Engine
from benchmarks.support.jobs import text_spec
from benchmarks.support.ludwig import VERSION, Ludwig
from benchmarks.support.machine import auto_precision, device, synchronise
from benchmarks.support.report import RECORDED, Column, Report, Table
from benchmarks.support.scale import Bench

_BATCH = 32
_RECORDED = 31.0
_OURS, _PLAIN = "headstart", "plain transformers loop"
_COLUMNS = (
    Column("work", "one epoch"),
    Column("precision", "precision"),
    Column("seconds", "s", "{:.2f}"),
    Column("rows_per_second", "rows/s", "{:,.0f}"),
    Column("spread", "spread", "{:.0%}"),
    Column("ours_over", f"{_OURS} is faster by", "{:.2f}×"),
    Column("recorded", f"s, {RECORDED}", "{:.1f}"),
)


def run(bench: Bench) -> Report:
    """Everybody fine-tunes all weights on the same rows at batch 32."""
    found = corpus(bench.data_root, "text/sst2")
    rows = bench.pick(1_000, 96)
    train, validation = take(found.train, range(rows)), take(found.test, range(64))
    engine = Engine(bench.scratch)
    precisions = tuple(dict.fromkeys(("fp32", auto_precision())))
    contenders: dict[str, Callable[[], float]] = {}
    for precision in precisions:
        contenders[f"{_OURS}, {precision}"] = _ours(engine, train, validation, mixed=precision != "fp32")
        contenders[f"{_PLAIN}, {precision}"] = _plain(train, precision)
    samples = interleaved(contenders, bench.pick(3, 2))
    ludwig = Ludwig.found(bench.scratch)
    if ludwig is not None:
        samples[f"{VERSION}, fp32"] = Sample(ludwig.measure(train, trainable=True, epochs=2, batch_size=_BATCH).epochs)
    return Report(
        "trainable_epoch",
        f"How long one epoch over {rows:,} rows takes when the encoder learns too, batch {_BATCH}.",
        found.origin,
        [Table(_COLUMNS, _rows(samples, rows))],
        [
            "The plain loop shuffles, pads each batch to its longest row, and runs AdamW; ours also groups rows of "
            "similar length, clips gradients and keeps metrics.",
            "Mixed precision is measured only where this machine computes it faster than fp32.",
        ],
    )


def _ours(engine: Engine, train: Columns, validation: Columns, *, mixed: bool) -> Callable[[], float]:
    trainer = {"epochs": 1, "batch_size": _BATCH, "use_mixed_precision": mixed, "checkpoint": False}
    spec = text_spec("text", "label", trainer=trainer, trainable=True)
    spec["preprocessing"] = {"split": {"probabilities": [1.0, 0.0, 0.0]}}
    return lambda: engine.train(spec, train, validation)[0].train_seconds


def _plain(train: Columns, precision: str) -> Callable[[], float]:
    """Fresh weights each time; loading them is not timed."""
    tokens, names = tokens_of(list(train["text"])), sorted(set(train["label"]))
    labels = torch.tensor([names.index(label) for label in train["label"]], device=device())

    def measure() -> float:
        model = plain_model().train()
        head = nn.Linear(model.config.hidden_size, len(names)).to(device())
        optimizer = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=5e-5)

        def epoch() -> None:
            order = random.sample(range(len(tokens)), len(tokens))
            for start in range(0, len(order), _BATCH):
                chosen = order[start : start + _BATCH]
                batch = padded([tokens[row] for row in chosen])
                with torch.autocast(device().type, torch.bfloat16, enabled=precision != "fp32"):
                    pooled = mean_pooled(model(**batch).last_hidden_state, batch["attention_mask"])
                    loss = nn.functional.cross_entropy(head(pooled), labels[chosen])
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
            synchronise()

        return elapsed(epoch)

    return measure


def _rows(samples: dict[str, Sample], rows: int) -> list[dict[str, object]]:
    """Each plain loop is compared with ours of the same precision."""
    table: list[dict[str, object]] = []
    for name, sample in samples.items():
        work, precision = name.rsplit(", ", 1)
        ours = samples[f"{_OURS}, {precision}"].median
        table.append(
            {
                "work": work,
                "precision": precision,
                "seconds": sample.median,
                "rows_per_second": rows / sample.median,
                "spread": sample.spread,
                "ours_over": None if work == _OURS else sample.median / ours,
            }
        )
    if f"{VERSION}, fp32" in samples:
        return table
    return [*table, {"work": f"{VERSION}, 1,000 rows", "precision": "fp32", "recorded": _RECORDED}]
