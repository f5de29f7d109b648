"""Grows a head's boosted trees, round by round: evaluated, reported and stopped as epochs are."""

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from headstart_server.data.parts import Part
from headstart_server.model.tree_head import TreeHead
from headstart_server.training.all_rows import Matrix, encoded_rows
from headstart_server.training.boosting_settings import BoostingSettings
from headstart_server.training.loop import Loop
from headstart_server.training.reports import EpochReport, JobWarning, Metrics
from headstart_server.training.selection import UNDEFINED, is_better, why_undefined

if TYPE_CHECKING:
    from headstart_server.training.boosters import Booster, Floats

_PARTS = (Part.TRAIN, Part.VALIDATION, Part.TEST)
_FRUITLESS = 20
"""Rounds in a row without anything to split after which no more are made, where each draws other rows or columns."""
_COPIES = 1.5
"""Of the matrix of all rows that memory has to have room for: itself, and LightGBM's bins."""


def boost(loop: Loop, head: TreeHead, settings: BoostingSettings) -> EpochReport:
    """Grows trees over the encoded rows; at the end the head has those of the best evaluation, which is returned.

    A round is an epoch of one step. Encoders stay as they are.
    """
    growing = _Growing(loop, head, settings)
    best: EpochReport | None = None
    evaluation, without_improvement = 0, 0
    while growing.goes_on and not 0 < loop.settings.early_stop <= without_improvement:
        evaluation += 1
        report = replace(growing.stretch(), evaluation=evaluation)
        if best is None and not loop.settings.undefined_warned:
            undefined = why_undefined(report, loop.settings.validation_metric)
            if undefined:
                loop.reporter.report(JobWarning(UNDEFINED, undefined))
        better = is_better(report, best, loop.settings.validation_metric)
        report = replace(report, best=better)
        without_improvement = 0 if better else without_improvement + 1
        best = report if better else best
        loop.reporter.report(report)
    assert best is not None
    growing.keep(best.step)
    return best


@dataclass
class _Growing:
    """The trees so far, and what they say of every row."""

    loop: Loop
    head: TreeHead
    settings: BoostingSettings
    rounds: int = 0
    goes_on: bool = True
    _fruitless: int = 0
    """Rounds in a row that found nothing to split."""
    _boosters: "list[Booster]" = field(default_factory=list)
    _rows: "dict[Part, Matrix]" = field(default_factory=dict)
    _scores: "dict[Part, Floats]" = field(default_factory=dict)

    def __post_init__(self) -> None:
        # an extra, which no process needs that only serves models
        from headstart_server.training.boosters import Booster

        loop = self.loop
        loop.model.eval()
        self._rows = {part: encoded_rows(loop, part, _COPIES) for part in _PARTS}
        places, rows = loop.feed.parts[Part.TRAIN], self._rows[Part.TRAIN]
        for feature in loop.outputs:
            targets = loop.feed.targets[feature.name].cpu()[places].numpy()
            loss, threads = loop.losses[feature.name], torch.get_num_threads()
            self._boosters.append(Booster(feature, loss, rows, targets, self.settings, threads))
            loop.reporter.check()
        self._scores = {part: np.tile(self._bias, (len(rows), 1)) for part, rows in self._rows.items()}

    @property
    def _bias(self) -> "Floats":
        return np.concatenate([booster.bias for booster in self._boosters])

    def stretch(self) -> EpochReport:
        """Grows as many rounds as lie between two evaluations, and evaluates."""
        started, since = time.perf_counter(), self.rounds
        until = min(since + self.settings.rounds_per_evaluation, self.settings.rounds)
        while self.goes_on and self.rounds < until:
            grown = [booster.grow() for booster in self._boosters]
            self.rounds += 1
            self._fruitless = 0 if any(grown) else self._fruitless + 1
            patience = _FRUITLESS if self.settings.draws else 1
            self.goes_on = self._fruitless < patience and self.rounds < self.settings.rounds
            self.loop.reporter.check()
        seconds = time.perf_counter() - started
        for part, rows in self._rows.items():
            added = [booster.scores(rows, since, self.rounds) for booster in self._boosters]
            self._scores[part] += np.concatenate(added, 1)
        metrics = {part: self._metrics(part) for part in _PARTS}
        return EpochReport(
            epoch=self.rounds,
            step=self.rounds,
            train=metrics[Part.TRAIN],
            validation=metrics[Part.VALIDATION],
            test=metrics[Part.TEST],
            train_seconds=seconds,
            evaluate_seconds=time.perf_counter() - started - seconds,
            learning_rate=self.settings.learning_rate,
            rows_per_second=(self.rounds - since) * len(self._rows[Part.TRAIN]) / seconds,
            epochs=float(self.rounds),
            validation_metric=self.loop.settings.validation_metric,
        )

    def keep(self, rounds: int) -> None:
        """Gives the head the trees of the first rounds."""
        trees, column = [], 0
        for booster in self._boosters:
            trees += booster.trees(rounds, column)
            column += booster.columns
        self.head.trees.set(trees, self._bias)

    def _metrics(self, part: Part) -> Metrics:
        scores = torch.from_numpy(self._scores[part]).float()
        return self.loop.evaluator.evaluate_logits(part, self.head.logits(scores))
