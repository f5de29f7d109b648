"""Trains a head that is fitted in one go: over all training rows at once, evaluated as the only epoch."""

import time
from dataclasses import dataclass

import numpy as np
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
    once = _Distinct.of(feed.parts[Part.TRAIN])
    if once.times is not None:  # else all of them would be copied for nothing
        rows = rows[once.places.to(rows.device)]
    targets = {name: values[once.rows.to(values.device)].to(feed.device) for name, values in feed.targets.items()}
    with torch.no_grad():
        weights = {name: once.weights(_row_weights(loop, name, known)) for name, known in targets.items()}
        head.fit(rows, targets, weights)
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


@dataclass(frozen=True)
class _Distinct:
    """Rows of which oversampling has some several times, each once: what leaves a row out must leave it out whole."""

    rows: Tensor
    """Their numbers; ascending where some are there several times."""
    places: Tensor
    """Where each lies among all, for the first time."""
    times: Tensor | None
    """How often each is there; None: all once."""

    @classmethod
    def of(cls, rows: Tensor) -> "_Distinct":
        """Of row numbers."""
        found, first, times = np.unique(rows.cpu().numpy(), return_index=True, return_counts=True)
        if len(found) == len(rows):
            return cls(rows, torch.arange(len(rows)), None)
        return cls(torch.from_numpy(found), torch.from_numpy(first), torch.from_numpy(times))

    def weights(self, weights: Tensor | None) -> Tensor | None:
        """How much each row counts, given how much it does by its class."""
        if self.times is None:
            return weights
        return self.times.double() if weights is None else weights * self.times.to(weights)


def _row_weights(loop: Loop, output: str, targets: Tensor) -> Tensor | None:
    """How much each row counts [n], where the classes of the output are weighed."""
    if targets.ndim > 1:
        return None
    weights = loop.losses[output].row_weights(targets.cpu().numpy())
    return None if weights is None else torch.from_numpy(weights).to(targets.device)
