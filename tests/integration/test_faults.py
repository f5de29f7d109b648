"""The short form of `make faults`, and whether its checker sees what it is there to see."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
from headstart.v1 import training_pb2 as pb

from tests.faults.checker import faults_of
from tests.faults.history import Created, Ending, History, Seen, curve_of
from tests.faults.run import runs_in
from tests.support.postgres import postgres_binaries

JOB, STATES = "trainJobs/a", pb.TrainJob


@pytest.mark.parametrize("pair", [False, True], ids=["one server", "two servers"])
def test_nothing_acknowledged_is_lost_whatever_is_killed(tmp_path: Path, *, pair: bool) -> None:
    if pair and postgres_binaries() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with runs_in(tmp_path, pairs=pair) as runs:
        reports = list(runs.run([7, 8], pair=pair))
    assert all(report.injected for report in reports)
    assert not any(report.wrong for report in reports), reports


def changed(before: pb.TrainJob.State, after: pb.TrainJob.State) -> pb.StateChange:
    return pb.StateChange(previous_state=before, state=after)


def sound() -> tuple[History, Ending]:
    """A history with nothing wrong."""
    states = [STATES.STATE_QUEUED, STATES.STATE_TRAINING, STATES.STATE_SUCCEEDED]
    log: list[pb.TrainJobEvent] = []
    before: pb.TrainJob.State = STATES.STATE_UNSPECIFIED
    for state in states:
        change = changed(before, state)
        log.append(pb.TrainJobEvent(job=JOB, state_change=change))
        before = state
    epoch = pb.EpochMetrics(epoch=1, evaluation=1, train={"loss": 0.5}, validation={"loss": 0.6})
    log.insert(2, pb.TrainJobEvent(job=JOB, epoch_finished=epoch))
    log.insert(3, pb.TrainJobEvent(job=JOB, model_published=pb.ModelPublished(model="models/a")))
    for number, event in enumerate(log, 1):
        event.sequence = number
    job = pb.TrainJob(name=JOB, state=STATES.STATE_SUCCEEDED, model="models/a", request_id="r")
    history = History(
        [Created("r", JOB, "short")] * 2, seen=[Seen(JOB, 1, deepcopy(log[1:3]))], datasets={"datasets/d"}
    )
    ending = Ending({JOB: job}, {JOB: log}, ["models/a"], {"models/a": [[0.1], [0.1]]}, {"datasets/d"})
    return history, ending


def _drop_job(history: History, ending: Ending) -> None:
    ending.jobs.clear()
    ending.logs.clear()


def _fail(history: History, ending: Ending) -> None:
    ending.jobs[JOB].state = STATES.STATE_FAILED


def _cancel(history: History, ending: Ending) -> None:
    ending.jobs[JOB].state = STATES.STATE_CANCELLED


def _make_two(history: History, ending: Ending) -> None:
    history.created.append(Created("r", "trainJobs/b", "short"))


def _leave_a_gap(history: History, ending: Ending) -> None:
    del ending.logs[JOB][1]


def _go_on_after_the_end(history: History, ending: Ending) -> None:
    change = changed(STATES.STATE_SUCCEEDED, STATES.STATE_QUEUED)
    ending.logs[JOB].append(pb.TrainJobEvent(sequence=6, job=JOB, state_change=change))


def _stream_something_else(history: History, ending: Ending) -> None:
    history.seen[0].events[1].epoch_finished.train["loss"] = 0.4


def _list_another_model(history: History, ending: Ending) -> None:
    ending.models.append("models/b")


def _list_a_model_twice(history: History, ending: Ending) -> None:
    ending.models.append("models/a")


def _lose_the_model(history: History, ending: Ending) -> None:
    ending.models.clear()


def _answer_otherwise(history: History, ending: Ending) -> None:
    ending.answers["models/a"][1] = [0.2]


def _lose_the_dataset(history: History, ending: Ending) -> None:
    ending.datasets.clear()


def _leave_a_process(history: History, ending: Ending) -> None:
    ending.processes.append("worker")


def _learn_otherwise(history: History, ending: Ending) -> None:
    for log in (ending.logs[JOB], history.seen[0].events):
        log[2 if log is ending.logs[JOB] else 1].epoch_finished.validation["loss"] = 0.6000001


BREAKS: dict[Callable[[History, Ending], None], str] = {
    _drop_job: "was acknowledged and is gone",
    _fail: "ended STATE_FAILED",
    _cancel: "cancelled by nobody",
    _make_two: "made trainJobs/a and trainJobs/b",
    _leave_a_gap: "its log has the numbers",
    _go_on_after_the_end: "comes after its end",
    _stream_something_else: "delivered other events",
    _list_another_model: "models/b is listed 1 times, and no job",
    _list_a_model_twice: "models/a is listed 2 times",
    _lose_the_model: "is not listed",
    _answer_otherwise: "answers otherwise",
    _lose_the_dataset: "datasets/d was acknowledged and is gone",
    _leave_a_process: "a process is left",
    _learn_otherwise: "its loss curve differs",
}


def test_the_checker_finds_nothing_wrong_where_nothing_is() -> None:
    history, ending = sound()
    assert faults_of(history, ending, {"short": curve_of(ending.logs[JOB])}) == []


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.__name__)
def test_the_checker_sees_each_broken_promise(broken: Callable[[History, Ending], None]) -> None:
    history, ending = sound()
    unbroken = {"short": curve_of(ending.logs[JOB])}
    broken(history, ending)
    found = faults_of(history, ending, unbroken)
    assert any(BREAKS[broken] in fault for fault in found), found
