"""Trains a head that is fitted in one go: over all training rows at once, evaluated as the only epoch."""

import time

import torch
from torch import Tensor

from headstart_server.data.parts import Part
from headstart_server.model.scored_head import FittedHead, joined
from headstart_server.training.loop import Loop
from headstart_server.training.reports import EpochReport, JobWarning
from headstart_server.training.selection import UNDEFINED, why_undefined


def fit_once(loop: Loop, head: FittedHead) -> EpochReport:
    """Fits the head of the loop's model, and reports it as one epoch of one step. Encoders stay as they are."""
    started = time.perf_counter()
    feed = loop.feed
    with torch.no_grad():
        rows, targets = _read(loop)
        head.fit(rows, targets, {name: _row_weights(loop, name, known) for name, known in targets.items()})
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
    if not loop.settings.undefined_warned and (undefined := why_undefined(report, loop.settings.validation_metric)):
        loop.reporter.report(JobWarning(UNDEFINED, undefined))
    loop.reporter.report(report)
    return report


def _read(loop: Loop) -> tuple[Tensor, dict[str, Tensor]]:
    """All inputs of the training rows side by side [n, d], and the targets by output."""
    feed, model = loop.feed, loop.model.eval()
    encoded, targets = [], []
    for _, batch, known in feed.stream(list(feed.in_order(Part.TRAIN, loop.settings.eval_batch_size))):
        encoded.append(joined(model.encoded(batch)))
        targets.append(known)
        loop.reporter.check()
    return torch.cat(encoded), {name: torch.cat([known[name] for known in targets]) for name in feed.targets}


def _row_weights(loop: Loop, output: str, targets: Tensor) -> Tensor | None:
    """How much each row counts [n], where the classes of the output are weighed."""
    if targets.ndim > 1:
        return None
    weights = loop.losses[output].row_weights(targets.cpu().numpy())
    return None if weights is None else torch.from_numpy(weights).to(targets.device)
