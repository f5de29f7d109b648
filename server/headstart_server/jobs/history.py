"""What a job's log tells as a whole: warnings, the curve of its metrics, and how its model answers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.engine import Connection

from headstart_server.engines.events import ModelEvaluated, from_plain, kind_of
from headstart_server.jobs.database import damage_named
from headstart_server.jobs.tables import EVENTS
from headstart_server.training.output_evaluation import OutputEvaluation
from headstart_server.training.reports import EpochReport, JobWarning

MOST_EPOCHS = 1_000
_KINDS = [kind_of(event) for event in (JobWarning, EpochReport, ModelEvaluated)]


@dataclass(frozen=True)
class JobHistory:
    """Of a job whose events are no longer kept, nothing."""

    warnings: Sequence[JobWarning] = ()
    epochs: Sequence[EpochReport] = ()
    """Each evaluation once, in order; of more than 1,000 some at even distances, the best and the last."""
    evaluation: Sequence[OutputEvaluation] = field(default_factory=list)


def history_of(connection: Connection, identifier: str) -> JobHistory:
    """Of one job; raises DataLossError for a damaged log."""
    query = select(EVENTS.c.kind, EVENTS.c.data).where(EVENTS.c.job == identifier, EVENTS.c.kind.in_(_KINDS))
    warnings: list[JobWarning] = []
    epochs: dict[tuple[int, int], EpochReport] = {}
    evaluation: Sequence[OutputEvaluation] = []
    with damage_named(identifier):
        for kind, data in connection.execute(query.order_by(EVENTS.c.sequence)):
            match from_plain(kind, json.loads(data)):
                case JobWarning() as warning:
                    warnings.append(warning)
                case EpochReport() as epoch:
                    epochs[epoch.epoch, epoch.evaluation] = epoch
                case ModelEvaluated(outputs):
                    evaluation = outputs
    return JobHistory(warnings, _thinned([epochs[key] for key in sorted(epochs)]), evaluation)


def _thinned(epochs: list[EpochReport]) -> list[EpochReport]:
    if len(epochs) <= MOST_EPOCHS:
        return epochs
    last = len(epochs) - 1
    best = max((index for index, epoch in enumerate(epochs) if epoch.best), default=last)
    kept = {round(index * last / (MOST_EPOCHS - 2)) for index in range(MOST_EPOCHS - 1)} | {best}
    return [epochs[index] for index in sorted(kept)]
