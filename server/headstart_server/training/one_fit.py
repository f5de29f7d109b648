"""Trains a head that is fitted in one go: over all training rows at once, evaluated as the only epoch."""

import time

import torch
from torch import Tensor

from headstart_server.data.parts import Part
from headstart_server.model.scored_head import FittedHead
from headstart_server.training.all_rows import encoded_rows
from headstart_server.training.loop import Loop
from headstart_server.training.reports import EpochReport, JobWarning
from headstart_server.training.selection import UNDEFINED, why_undefined

_COPIES = 2.0
"""Of the matrix of all training rows that memory has to have room for: itself, and what a head makes of it."""


def fit_once(loop: Loop, head: FittedHead) -> EpochReport:
    """Fits the head of the loop's model, and reports it as one epoch of one step. Encoders stay as they are."""
    started = time.perf_counter()
    feed = loop.feed
    rows = torch.from_numpy(encoded_rows(loop, Part.TRAIN, _COPIES, head.squares)).to(feed.device)
    targets = {name: values[feed.parts[Part.TRAIN].to(values.device)] for name, values in feed.targets.items()}
    targets = {name: values.to(feed.device) for name, values in targets.items()}
    with torch.no_grad():
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


def _row_weights(loop: Loop, output: str, targets: Tensor) -> Tensor | None:
    """How much each row counts [n], where the classes of the output are weighed."""
    if targets.ndim > 1:
        return None
    weights = loop.losses[output].row_weights(targets.cpu().numpy())
    return None if weights is None else torch.from_numpy(weights).to(targets.device)
