"""The worker's side: how each end of a job is told to the server."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from headstart_server.core.errors import CancelledError, TrainingFailedError
from headstart_server.jobs import worker
from headstart_server.jobs.worker import JobListener, Worker


def _failing(error: Exception) -> Callable[..., str]:
    def run(assignment: dict[str, Any], listener: JobListener) -> str:
        raise error

    return run


def _greedy(assignment: dict[str, Any], listener: JobListener) -> str:
    return str(torch.empty(1 << 60, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("run", "state", "reason"),
    [
        (lambda assignment, listener: "m1", "SUCCEEDED", ""),
        (_failing(CancelledError("stop")), "CANCELLED", ""),
        (_failing(TrainingFailedError("nan", reason="NON_FINITE_LOSS", field="f")), "FAILED", "NON_FINITE_LOSS"),
        (_failing(MemoryError()), "FAILED", "OUT_OF_MEMORY"),
        (_greedy, "FAILED", "OUT_OF_MEMORY"),
        (_failing(ValueError("/secret/path")), "FAILED", "INTERNAL"),
    ],
    ids=["succeeded", "cancelled", "failed", "memory", "allocator", "unforeseen"],
)
def test_each_end_of_a_job_is_told(
    monkeypatch: pytest.MonkeyPatch, run: Callable[..., str], state: str, reason: str
) -> None:
    monkeypatch.setattr(worker, "run_assignment", run)
    done = Worker(io.StringIO(), io.StringIO())._run({"identifier": "j"})
    assert (done["state"], done.get("error", {}).get("reason", "")) == (state, reason)
    assert "secret" not in json.dumps(done)


def test_what_a_listener_hears_is_one_line_each() -> None:
    out = io.StringIO()
    listener = JobListener(Worker(io.StringIO(), out))
    listener.state("PREPARING")
    listener.state("PREPARING")
    listener.warning("WHY", "two\nlines")
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"event": "state", "data": {"from": "", "to": "PREPARING"}},
        {"event": "warning", "data": {"reason": "WHY", "message": "two\nlines"}},
    ]


def test_a_cancelled_job_stops_at_its_next_check() -> None:
    process = Worker(io.StringIO(), io.StringIO())
    listener = JobListener(process)
    listener.check()
    process.cancelled.set()
    for check in (listener.check, lambda: listener.state("TRAINING")):
        with pytest.raises(CancelledError):
            check()
