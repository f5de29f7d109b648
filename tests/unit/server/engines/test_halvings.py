"""Memory that ran out halves the rows of a pass, and leaves those of a step as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from headstart_server.engines import fitting
from headstart_server.engines.listener import Silent
from headstart_server.jobs.worker import run_job
from headstart_server.training.settings import LoopSettings

from tests.support.envelopes import job_of

SPEC = {
    "input_features": [{"name": "x", "type": "number"}],
    "output_features": [{"name": "y", "type": "category"}],
    "trainer": {"epochs": 1, "batch_size": 32},
}


def test_a_halving_halves_passes_and_evaluations_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[LoopSettings] = []

    def settled(**values: Any) -> LoopSettings:
        seen.append(LoopSettings(**values))
        return seen[-1]

    monkeypatch.setattr(fitting, "LoopSettings", settled)
    rows = tmp_path / "rows.csv"
    rows.write_text("x,y\n" + "".join(f"{number},{'ab'[number % 2]}\n" for number in range(100)))
    silent: Any = Silent()
    for halvings in (0, 1):
        envelope = job_of(tmp_path / str(halvings), rows, SPEC)
        assert run_job(replace(envelope, halvings=halvings), silent)
    before, after = seen
    assert (before.batch_size, after.batch_size) == (32, 32)
    assert (before.micro_batch_rows, after.micro_batch_rows) == (32, 16)
    assert after.eval_batch_size == before.eval_batch_size // 2
