"""Reductions of the learning rate where a metric no longer improves."""

import math
from dataclasses import dataclass, replace

from headstart_server.core.reasons import Notice
from headstart_server.training.metric_names import smaller_is_better
from headstart_server.training.reports import EpochReport

UNDEFINED = Notice.PLATEAU_METRIC_UNDEFINED
_THRESHOLD = 1e-4  # torch's default
"""By what part a value has to be better than the best."""


@dataclass(frozen=True)
class PlateauRule:
    """When the learning rate is reduced, and by what: as torch's ReduceLROnPlateau does, at most so many times."""

    times: int
    patience: int
    """Evaluations without improvement that are waited for."""
    rate: float
    """By what the learning rate is multiplied each time."""
    metric: str
    """`loss` or `output.metric`."""
    split: str
    """`training`, `validation` or `test`."""

    def value(self, report: EpochReport) -> float:
        """What has to improve; NaN where the rows of the split do not define it."""
        splits = {"training": report.train, "validation": report.validation, "test": report.test}
        return splits[self.split].get(self.metric, math.nan)

    def why_undefined(self, report: EpochReport) -> str | None:
        """What to tell where the rate will never be reduced, because no row defines the metric; None where some do."""
        if not math.isnan(self.value(report)):
            return None
        return (
            f"reduce_eval_metric {self.metric!r} is not defined on the {self.split} rows, so the learning rate is not "
            "reduced on a plateau; set reduce_eval_split to a split with rows, or choose another metric"
        )


@dataclass(frozen=True)
class Plateau:
    """Where a run is with its reductions, after an evaluation."""

    best: float | None = None
    waited: int = 0
    """Evaluations since the best, or since the last reduction."""
    reductions: int = 0

    def after(self, report: EpochReport, rule: PlateauRule) -> "Plateau":
        """Where it is after another evaluation; one that does not define the metric changes nothing."""
        value = rule.value(report)
        if self.reductions >= rule.times or math.isnan(value):
            return self
        if self.best is None or _improves(value, self.best, rule.metric):
            return replace(self, best=value, waited=0)
        # as in torch, `patience` evaluations pass without effect, and the one after them reduces
        if self.waited < rule.patience:
            return replace(self, waited=self.waited + 1)
        return replace(self, waited=0, reductions=self.reductions + 1)

    def scale(self, rule: PlateauRule | None) -> float:
        """By what learning rates are multiplied."""
        return 1.0 if rule is None else rule.rate**self.reductions


def _improves(value: float, best: float, metric: str) -> bool:
    """Of metrics below 0, as r2 may be, torch's `best * (1 + threshold)` would take what is worse for better."""
    margin = _THRESHOLD * abs(best)
    return value < best - margin if smaller_is_better(metric) else value > best + margin
