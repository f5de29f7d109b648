"""Trains a head that is fitted in one go: over all training rows at once, evaluated as the only epoch."""

import time

import torch

from headstart_server.data.parts import Part
from headstart_server.model.head import FittedHead
from headstart_server.training.loop import Loop
from headstart_server.training.reports import EpochReport


def fit_once(loop: Loop, head: FittedHead) -> EpochReport:
    """Fits the head of the loop's model, and reports it as one epoch of one step. Encoders stay as they are."""
    started = time.perf_counter()
    feed, model = loop.feed, loop.model.eval()
    rows = list(feed.in_order(Part.TRAIN, loop.settings.eval_batch_size))
    with torch.no_grad():
        encoded, targets = [], []
        for _, batch, known in feed.stream(rows):
            encoded.append(model.encoded(batch))
            targets.append(known)
            loop.reporter.check()
        columns = [torch.cat(parts) for parts in zip(*encoded, strict=True)]
        head.fit(columns, {name: torch.cat([known[name] for known in targets]) for name in feed.targets})
    seconds = time.perf_counter() - started
    report = EpochReport(
        epoch=1,
        step=1,
        train=loop.evaluate(Part.TRAIN),
        validation=loop.evaluate(Part.VALIDATION),
        test=loop.evaluate(Part.TEST),
        train_seconds=seconds,
        evaluate_seconds=time.perf_counter() - started - seconds,
        best=True,
        rows_per_second=feed.count(Part.TRAIN) / seconds,
        evaluation=1,
        epochs=1.0,
        validation_metric=loop.settings.validation_metric,
    )
    loop.reporter.report(report)
    return report
