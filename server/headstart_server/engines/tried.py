"""What a trial of a sweep came to, and the rows that it is compared on."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from headstart_server.core.errors import invalid
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.parts import Part, spread
from headstart_server.model.ecd import ECD
from headstart_server.training.evaluation import Evaluator
from headstart_server.training.feed import Feed
from headstart_server.training.reports import EpochReport
from headstart_server.training.standard_errors import of_errors

_TIMES = 9
Outputs = Sequence[FittedFeature]


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
    standard_errors: Mapping[str, float] = field(default_factory=dict)
    """Of metrics that are means over the rows that it is compared on."""

    @classmethod
    def of(cls, report: EpochReport, model: ECD, feed: Feed, evaluator: Evaluator, outputs: Outputs) -> "Tried":
        """A trained trial."""
        size = sum(tensor.nbytes for tensor in model.learned_state().values())
        rows = {part: feed.count(part) for part in (Part.TRAIN, Part.VALIDATION)}
        seconds = head_seconds(model, feed)
        errors = _standard_errors(evaluator, outputs) if rows[Part.VALIDATION] else {}
        return cls(report.epoch, report.validation, rows[Part.VALIDATION], rows[Part.TRAIN], seconds, size, errors)

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
        compared = sum(fold.compared_rows for fold in folds)
        # those of parts that are independent of each other
        squares = {
            name: [(fold.standard_errors.get(name, math.nan) * fold.compared_rows / compared) ** 2 for fold in folds]
            for name in folds[-1].standard_errors
        }
        return replace(
            folds[-1],
            standard_errors={name: math.sqrt(sum(each)) for name, each in squares.items() if not math.isnan(sum(each))},
            epochs=round(sum(fold.epochs for fold in folds) / len(folds)),
            metrics=metrics,
            compared_rows=compared,
            train_rows=min(fold.train_rows for fold in folds),
        )


@dataclass(frozen=True)
class Fold:
    """One part of many of the training and validation rows: left out of training, and compared on."""

    number: int
    """From 0."""
    of: int
    groups: npt.NDArray[np.int64] | None = None
    """By row, where rows of a group are not to be torn apart."""

    def left_out(self, rows: npt.NDArray[np.int64], seed: int) -> Tensor:
        """Those of some distinct rows that it leaves out, ascending; raises InvalidInputError for too few rows."""
        of_rows = rows if self.groups is None else self.groups[rows]
        drawn = np.unique(of_rows)
        if len(drawn) < self.of:
            what = "rows" if self.groups is None else "groups of rows that the split keeps together"
            raise invalid("sweep.folds", f"is {self.of}, and there are {len(drawn)} {what}; use at most that many")
        order = torch.randperm(len(drawn), generator=torch.Generator().manual_seed(seed)).numpy()
        return torch.from_numpy(rows[np.isin(of_rows, drawn[order[self.number :: self.of]])])


def trial_parts(
    parts: Mapping[Part, Tensor], share: float, fold: Fold | None, seed: int, common: Tensor | None = None
) -> dict[Part, Tensor]:
    """Row numbers by part of a trial: a share of the training rows, at even distances, and no test rows.

    It is compared on the `common` rows alone, which every trial has, where they are given.
    """
    rows, compared = parts[Part.TRAIN], parts[Part.VALIDATION]
    if fold is not None:
        both = torch.cat([rows, compared]).sort().values
        # oversampled rows are there several times: all of them are left out together, and compared on once
        compared = fold.left_out(np.unique(both.numpy()), seed)
        rows = both[~torch.isin(both, compared)]
    if common is not None:
        compared = compared[torch.isin(compared, common)]
    if share < 1:
        rows = rows[torch.from_numpy(spread(np.arange(len(rows)), max(1, round(len(rows) * share))))]
    return {**parts, Part.TRAIN: rows, Part.VALIDATION: compared, Part.TEST: rows[:0]}


def _standard_errors(evaluator: Evaluator, outputs: Outputs) -> dict[str, float]:
    """By `output.metric`."""
    if not any(each.spec.type in ("number", "vector") for each in outputs):
        return {}
    logits, targets = evaluator.outputs_of(Part.VALIDATION)
    return {
        f"{each.name}.{metric}": error
        for each in outputs
        for metric, error in of_errors(each, logits[each.name], targets[each.name]).items()
    }


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
