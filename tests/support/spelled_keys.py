"""Keys of Ludwig's training, as its files spell them and as ours do, and what differs without them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.spelled import Training, spec_of, trained

RATE, STEPS, EPOCHS = 0.1, 8, 3
BASE: dict[str, Any] = {
    "epochs": EPOCHS,
    "batch_size": 10,
    "learning_rate": RATE,
    "optimizer": {"type": "sgd"},
    "early_stop": 0,
    "checkpoint": False,
}
Check = Callable[[Training, Training], bool]
"""Of the training with the key, and of the one without it."""
Settings = dict[str, Any]


@dataclass(frozen=True)
class SpelledKey:
    """A key, as Ludwig's files have it, as ours have it, and what differs from a training without it."""

    key: str
    theirs: Settings
    ours: Settings
    differs: Check
    without: Settings = field(default_factory=dict)
    """What both have of the trainer, beside the base."""
    rows: tuple[Settings, Settings] = ({}, {})
    """`preprocessing`, in their spelling and in ours."""
    sections: Settings = field(default_factory=dict)


def near(found: list[float], expected: list[float]) -> bool:
    """Whether rates are the same to rounding."""
    return found == pytest.approx(expected, rel=1e-9, abs=1e-15)


def learns_otherwise(found: Training, base: Training) -> bool:
    """Whether a training has other losses from the same batches."""
    return found.losses != base.losses and found.batches == base.batches


def nothing(found: Training, base: Training) -> bool:
    """Whether a key changes nothing, and a note says so."""
    return found.same(base) and any("has no effect" in note or "read as auto" in note for note in found.notes)


@dataclass
class Trainings:
    """Trains rows' specs, each once: most rows have the same training without their key."""

    known: dict[str, Training] = field(default_factory=dict)

    def of(self, folder: Path, row: SpelledKey) -> tuple[Training, Training, Training]:
        """Trainings without the key, in Ludwig's spelling and in ours."""
        sides: list[tuple[Settings, Settings]] = [({}, {}), (row.theirs, row.rows[0]), (row.ours, row.rows[1])]
        without, theirs, ours = (
            self._trained(folder, spec_of({**BASE, **row.without, **settings}, rows, **row.sections))
            for settings, rows in sides
        )
        return without, theirs, ours

    def require_alike(self, folder: Path, row: SpelledKey) -> None:
        """Both spellings train the same, and otherwise than without the key."""
        if row.sections:
            pytest.importorskip("ray")
        without, theirs, ours = self.of(folder, row)
        assert theirs.same(ours)
        assert row.differs(theirs, without), (theirs, without)

    def _trained(self, folder: Path, values: dict[str, Any]) -> Training:
        key = json.dumps(values)
        if key not in self.known:
            self.known[key] = trained(folder, values)
        return self.known[key]
