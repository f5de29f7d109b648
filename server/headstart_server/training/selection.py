"""Which epoch is the best: by the validation metric, and among equals by the loss."""

import math

from headstart_server.core.reasons import Notice
from headstart_server.training.metric_names import smaller_is_better
from headstart_server.training.reports import EpochReport

LOSS = "loss"
UNDEFINED = Notice.VALIDATION_METRIC_UNDEFINED


def is_better(report: EpochReport, best: EpochReport | None, metric: str) -> bool:
    """Whether an epoch's weights are to be kept instead of the best ones so far.

    Metrics that count rows stay the same for many epochs where classes are rare: the lower validation loss decides
    then, as it does where the metric is defined for neither. An epoch without it is never better than one with it.
    Where metric and loss are both exactly the same, nothing was learned: the earlier epoch is kept, and patience goes
    on being used up.
    """
    if best is None:
        return True
    value, known = _value(report, metric), _value(best, metric)
    if math.isnan(value) or math.isnan(known):
        if math.isnan(value) and math.isnan(known):
            return _lower_loss(report, best)
        return math.isnan(known)
    if value == known:
        return _lower_loss(report, best)
    return value < known if smaller_is_better(metric) else value > known


def why_undefined(report: EpochReport, metric: str) -> str | None:
    """The warning where the rows of the validation split do not define the metric; None where they do.

    Such a metric is absent. One that is not a number comes of a training that diverges, which is another matter.
    """
    return None if metric in report.validation else undefined_message(metric)


def undefined_message(metric: str) -> str:
    """The warning about a metric that the rows of the validation split do not define."""
    return (
        f"validation_metric {metric!r} is not defined on the rows of the validation split (roc_auc needs both classes, "
        "r2 targets that differ): the best epoch is chosen by the validation loss instead; validate on more rows, or "
        "choose another metric"
    )


def _value(report: EpochReport, metric: str) -> float:
    return report.validation.get(metric, math.nan)


def _lower_loss(report: EpochReport, best: EpochReport) -> bool:
    value, known = _value(report, LOSS), _value(best, LOSS)
    return value < known or (math.isnan(known) and not math.isnan(value))
