"""What a trial of a sweep came to, and the rows that it is compared on."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from headstart_server.data.parts import Part, spread
from headstart_server.model.ecd import ECD
from headstart_server.training.feed import Feed
from headstart_server.training.reports import EpochReport

_TIMES = 9


@dataclass(frozen=True)
class Tried:
    """What a trial came to."""

    epochs: int
    """Up to its best evaluation."""
    metrics: Mapping[str, float]
    """Of its best evaluation, on the rows that it is compared on."""
    compared_rows: int
    train_rows: int
    head_seconds: float
    """For one row."""
    size_bytes: int
    """Of what it learned."""

    @classmethod
    def of(cls, report: EpochReport, model: ECD, feed: Feed) -> "Tried":
        """A trained trial."""
        size = sum(tensor.nbytes for tensor in model.learned_state().values())
        rows = {part: feed.count(part) for part in (Part.TRAIN, Part.VALIDATION)}
        seconds = head_seconds(model, feed)
        return cls(report.epoch, report.validation, rows[Part.VALIDATION], rows[Part.TRAIN], seconds, size)

    @classmethod
    def crossed(cls, folds: Sequence["Tried"]) -> "Tried":
        """Of all folds together: metrics are means over the rows that were left out, where folds define them."""
        names = dict.fromkeys(name for fold in folds for name in fold.metrics)
        metrics = {}
        for name in names:
            known = [(fold.metrics.get(name, math.nan), fold.compared_rows) for fold in folds]
            if known := [(value, rows) for value, rows in known if not math.isnan(value)]:
                values, rows = zip(*known, strict=True)
                metrics[name] = float(np.average(values, weights=rows))
        return replace(
            folds[-1],
            epochs=round(sum(fold.epochs for fold in folds) / len(folds)),
            metrics=metrics,
            compared_rows=sum(fold.compared_rows for fold in folds),
            train_rows=min(fold.train_rows for fold in folds),
        )


@dataclass(frozen=True)
class Fold:
    """One part of many of the training and validation rows: left out of training, and compared on."""

    number: int
    """From 0."""
    of: int


def trial_parts(parts: Mapping[Part, Tensor], share: float, fold: Fold | None, seed: int) -> dict[Part, Tensor]:
    """Row numbers by part of a trial: a share of the training rows, at even distances, and no test rows."""
    rows, compared = parts[Part.TRAIN], parts[Part.VALIDATION]
    if fold is not None:
        both = torch.cat([rows, compared]).sort().values
        # oversampled rows are there several times: all of them are left out together, and compared on once
        distinct = torch.from_numpy(np.unique(both.numpy()))
        order = torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed))
        compared = distinct[order[fold.number :: fold.of]].sort().values
        rows = both[~torch.isin(both, compared)]
    if share < 1:
        rows = rows[torch.from_numpy(spread(np.arange(len(rows)), max(1, round(len(rows) * share))))]
    return {**parts, Part.TRAIN: rows, Part.VALIDATION: compared, Part.TEST: rows[:0]}


def head_seconds(model: ECD, feed: Feed) -> float:
    """Seconds that the head takes for one row of embeddings, in the middle of a few times."""
    _, batch, _ = next(feed.stream([feed.parts[Part.TRAIN][:1]]))
    model.eval()
    with torch.inference_mode():
        encoded, seconds = model.encoded(batch), []
        for _ in range(_TIMES):
            started = time.perf_counter()
            model.probabilities(model.head(encoded))
            if feed.device.type == "cuda":
                torch.cuda.synchronize(feed.device)
            seconds.append(time.perf_counter() - started)
    return sorted(seconds)[_TIMES // 2]
