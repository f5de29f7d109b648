"""What a job's log tells as a whole: warnings, the curve of its metrics, and how its model answers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.engine import Connection

from headstart_server.engines.events import ModelEvaluated, from_plain, kind_of
from headstart_server.engines.trials import Board, Placed, TrialReport
from headstart_server.jobs.database import damage_named
from headstart_server.jobs.tables import EVENTS
from headstart_server.training.output_evaluation import OutputEvaluation
from headstart_server.training.reports import EpochReport, JobWarning

MOST_EPOCHS, MOST_WARNINGS = 1_000, 200
MOST_BYTES = 1 << 20
"""About what the evaluations of one job may take, as lists of jobs: clients refuse answers of 4 MiB by default."""
_FEWEST = 50
_KINDS = [kind_of(event) for event in (JobWarning, EpochReport, ModelEvaluated, TrialReport)]


@dataclass(frozen=True)
class JobHistory:
    """Of a job whose events are no longer kept, nothing."""

    warnings: Sequence[JobWarning] = ()
    epochs: Sequence[EpochReport] = ()
    """Each evaluation once, in order; of more than 1,000, or 1 MiB, some at even distances, the best and the last."""
    evaluation: Sequence[OutputEvaluation] = field(default_factory=list)
    trials: Sequence[Placed] = ()
    """Of a sweep, the best first; of more than 1 MiB the best."""


def history_of(connection: Connection, identifier: str) -> JobHistory:
    """Of one job; raises DataLossError for a damaged log."""
    query = select(EVENTS.c.kind, EVENTS.c.data).where(EVENTS.c.job == identifier, EVENTS.c.kind.in_(_KINDS))
    warnings: list[JobWarning] = []
    curve, board, largest_trial = _Curve(), Board(), 1
    evaluation: Sequence[OutputEvaluation] = []
    with damage_named(identifier):
        for kind, data in connection.execute(query.order_by(EVENTS.c.sequence)):
            match from_plain(kind, json.loads(data)):
                case JobWarning() as warning:
                    warnings.append(warning)
                case EpochReport() as epoch:
                    curve.add(epoch, len(data))
                case ModelEvaluated(outputs):
                    evaluation = outputs
                case TrialReport() as trial:
                    board.add(trial)
                    largest_trial = max(largest_trial, len(data))
    trials = board.placed()[: max(_FEWEST, MOST_BYTES // largest_trial)]
    return JobHistory(warnings[:MOST_WARNINGS], curve.thinned(), evaluation, trials)


class _Curve:
    """The evaluations of a job, of which no more are kept in memory than twice what is told."""

    def __init__(self) -> None:
        self._epochs: dict[tuple[int, int], EpochReport] = {}
        self._best: EpochReport | None = None
        self._last: EpochReport | None = None
        self._seen, self._every, self._largest = 0, 1, 1

    def add(self, epoch: EpochReport, size: int) -> None:
        """Adds one, whose event takes so many bytes; one that is told again takes its place."""
        self._largest = max(self._largest, size)
        self._best = epoch if epoch.best else self._best
        if self._last is None or _place(epoch) >= _place(self._last):
            self._last = epoch
        if _place(epoch) in self._epochs or self._seen % self._every == 0:
            self._epochs[_place(epoch)] = epoch
        self._seen += 1
        if len(self._epochs) > 2 * MOST_EPOCHS:
            self._every *= 2
            self._epochs = dict(sorted(self._epochs.items())[::2])

    def thinned(self) -> list[EpochReport]:
        """As many as may be told, at even distances, with the best and the last."""
        epochs = {**self._epochs, **{_place(epoch): epoch for epoch in self._marked()}}
        most = max(_FEWEST, min(MOST_EPOCHS, MOST_BYTES // self._largest))
        if len(epochs) > most:
            places = sorted(self._epochs)
            step = (len(places) - 1) / (most - 3)
            places = [places[round(index * step)] for index in range(most - 2)]
            epochs = {place: epochs[place] for place in {*places, *map(_place, self._marked())}}
        return [epochs[place] for place in sorted(epochs)]

    def _marked(self) -> list[EpochReport]:
        return [epoch for epoch in (self._best, self._last) if epoch is not None]


def _place(epoch: EpochReport) -> tuple[int, int]:
    return epoch.epoch, epoch.evaluation
