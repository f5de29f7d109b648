"""Trials of a sweep as a job reports them, and the board that they make."""

import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headstart_server.storage.job_file import JobFile
from headstart_server.training.metric_names import smaller_is_better

_SHARED_SECONDS = 5.0
"""What a trial said is put where other servers see it once in as long at most."""


@dataclass(frozen=True)
class TrialReport:
    """A trial has ended, or one of its rounds."""

    number: int
    """From 1."""
    trials: int
    """How many there will be at most."""
    parameters: Mapping[str, Any]
    metric: str
    value: float | None = None
    """Of the metric on the validation rows; None where the trial failed."""
    standard_error: float | None = None
    train_rows: int = 0
    share: float = 1.0
    """Of its training rows that it learned from: less than 1 in the first rounds of successive halving."""
    epochs: int = 0
    seconds: float = 0.0
    head_seconds: float | None = None
    """That the head takes for one row."""
    size_bytes: int = 0
    """Of what it learned."""
    encoder_seconds: float | None = None
    """That its encoders take for one row; None where all trials have the same."""
    encoder_bytes: int = 0
    """Of the pretrained weights that it shares."""
    failure: str = ""

    @property
    def score(self) -> float:
        """The larger the better; the least of all where the trial failed."""
        if self.value is None or math.isnan(self.value):
            return -math.inf
        return -self.value if smaller_is_better(self.metric) else self.value


class TrialRecords:
    """The trials that a job has made, a line each, so that another attempt of it makes them no second time.

    They follow from the spec and its seed: what was tried with the same settings on as many rows comes to the same.
    """

    def __init__(self, file: JobFile) -> None:
        self._file, self._shared = file, float("-inf")
        self._found: dict[str, TrialReport] = {}
        for line in (line for text in file.texts() for line in text.splitlines()):
            try:
                values = json.loads(line)
            except ValueError:  # half a line, of a process that was killed
                continue
            key = values.pop("key")
            self._found[key] = TrialReport(**values)

    def find(self, number: int, parameters: Mapping[str, Any], share: float) -> TrialReport | None:
        """What a trial came to; None where it is to be made."""
        return self._found.get(_record_key(number, parameters, share))

    def add(self, report: TrialReport, share: float) -> None:
        """Writes what a trial came to; other machines hear of the last few with the next."""
        values = {"key": _record_key(report.number, report.parameters, share), **vars(report)}
        # a line end before, too: the line before may be half a one
        self._file.append("\n" + json.dumps(values) + "\n")
        if time.monotonic() - self._shared >= _SHARED_SECONDS:
            self._file.share()
            self._shared = time.monotonic()


def _record_key(number: int, parameters: Mapping[str, Any], share: float) -> str:
    return json.dumps([number, sorted(parameters.items()), round(share, 6)])


@dataclass(frozen=True)
class Placed:
    """A trial on the board."""

    report: TrialReport
    pareto: bool
    """Whether none is as good in value, time and size, and better in one of them."""
    best: bool


@dataclass
class Board:
    """The trials of a sweep, each by what it reported last."""

    _reports: dict[int, TrialReport] = field(default_factory=dict)

    def add(self, report: TrialReport) -> None:
        """Takes the place of what the trial reported before."""
        self._reports[report.number] = report

    def ranked(self) -> list[TrialReport]:
        """The best first: those that came to a later round before others; of equals the first.

        How many rows that is does not count: settings decide it as well.
        """
        return sorted(
            self._reports.values(),
            key=lambda each: (-each.share * (each.value is not None), -each.score, each.number),
        )

    def placed(self) -> list[Placed]:
        """The board, the best first."""
        ranked = self.ranked()
        front = set(_front(ranked))
        return [
            Placed(each, each.number in front, index == 0 and each.value is not None)
            for index, each in enumerate(ranked)
        ]


def _front(ranked: list[TrialReport]) -> Iterable[int]:
    """Numbers of the trials that no other one is better than throughout, among those that came to the last round."""
    whole = [each for each in ranked if each.value is not None and each.share == ranked[0].share]
    # where all have the same encoders none has a time; where one has none, it could not be taken
    unknown = math.inf if any(each.encoder_seconds is not None for each in whole) else 0.0
    costs = np.array([_costs(each, unknown) for each in whole]).reshape(-1, 3)
    for each, mine in zip(whole, costs, strict=True):
        if not ((costs <= mine).all(1) & (costs < mine).any(1)).any():
            yield each.number


def _costs(report: TrialReport, unknown: float) -> tuple[float, float, float]:
    encoders = unknown if report.encoder_seconds is None else report.encoder_seconds
    seconds = (report.head_seconds or 0.0) + encoders
    return -report.score, seconds, float(report.size_bytes + report.encoder_bytes)
