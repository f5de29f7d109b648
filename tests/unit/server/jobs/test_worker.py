"""The worker's side: how each end of a job is reported to the server."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable

import pytest
import torch
from headstart_server.core.errors import CancelledError, TrainingFailedError
from headstart_server.core.states import State
from headstart_server.engines.envelopes import JobEnvelope, RuntimeSettings, to_plain
from headstart_server.engines.events import StateChange
from headstart_server.jobs import worker
from headstart_server.jobs.worker import JobListener, Worker
from headstart_server.spec.model import TrainSpec
from headstart_server.training.reports import JobWarning


def _failing(error: Exception) -> Callable[..., str]:
    def run(job: JobEnvelope, listener: JobListener) -> str:
        raise error

    return run


def _greedy(job: JobEnvelope, listener: JobListener) -> str:
    return str(torch.empty(1 << 60, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("run", "state", "reason"),
    [
        (lambda job, listener: "m1", "SUCCEEDED", ""),
        (_failing(CancelledError("stop")), "CANCELLED", ""),
        (_failing(TrainingFailedError("nan", reason="NON_FINITE_LOSS", field="f")), "FAILED", "NON_FINITE_LOSS"),
        (_failing(MemoryError()), "FAILED", "OUT_OF_MEMORY"),
        (_greedy, "FAILED", "OUT_OF_MEMORY"),
        (_failing(ValueError("/secret/path")), "FAILED", "INTERNAL"),
    ],
    ids=["succeeded", "cancelled", "failed", "memory", "allocator", "unforeseen"],
)
def test_each_end_of_a_job_is_reported(
    monkeypatch: pytest.MonkeyPatch, run: Callable[..., str], state: str, reason: str
) -> None:
    monkeypatch.setattr(worker, "run_job", run)
    done = Worker(io.StringIO(), io.StringIO()).run(
        to_plain(JobEnvelope("j", "", TrainSpec(), [], RuntimeSettings(None)))
    )
    assert (done["state"], done.get("error", {}).get("reason", "")) == (state, reason)
    assert "secret" not in json.dumps(done)


def test_what_a_listener_receives_is_one_line_each() -> None:
    out = io.StringIO()
    listener = JobListener(Worker(io.StringIO(), out))
    listener.report(StateChange(State.PREPARING))
    listener.report(StateChange(State.PREPARING))
    listener.report(JobWarning("WHY", "two\nlines"))
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"event": "state", "data": {"from": None, "to": "PREPARING", "error": None}},
        {"event": "warning", "data": {"reason": "WHY", "message": "two\nlines"}},
    ]


def test_a_cancelled_job_stops_at_its_next_check() -> None:
    process = Worker(io.StringIO(), io.StringIO())
    listener = JobListener(process)
    listener.check()
    process.cancelled.set()
    for check in (listener.check, lambda: listener.report(StateChange(State.TRAINING))):
        with pytest.raises(CancelledError):
            check()


def test_a_job_publishes_once_the_store_has_taken_that_it_does() -> None:
    out = io.StringIO()
    work = Worker(io.StringIO(), out)
    listener, published = JobListener(work), threading.Event()

    def publish() -> None:
        listener.report(StateChange(State.PUBLISHING))
        published.set()

    thread = threading.Thread(target=publish)
    thread.start()
    assert not published.wait(0.5)
    assert json.loads(out.getvalue().splitlines()[-1])["event"] == "state"
    work.may_publish.set()
    thread.join(60)
    assert published.is_set()
    work.may_publish.clear()
    work.cancelled.set()
    with pytest.raises(CancelledError):
        JobListener(work).report(StateChange(State.PUBLISHING))
