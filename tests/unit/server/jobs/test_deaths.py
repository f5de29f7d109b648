"""Workers that die, hang or run out of memory: their job goes on from its last checkpoint, up to a bound."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from headstart_server.core.states import State
from headstart_server.engines.events import to_plain
from headstart_server.jobs import attempts
from headstart_server.jobs.process import Death
from headstart_server.jobs.store import JobStore
from headstart_server.training.reports import EpochReport, JobWarning

from tests.support.fake_workers import FakeWorker, Script, failed, hangs, says, state, step, succeeds
from tests.support.supervised import Start, ended, log_of, submitted, until

DIES = says(state("PREPARING"), step(1))


def epoch(number: int) -> dict[str, Any]:
    """A worker says that it has done an epoch."""
    kind, data = to_plain(EpochReport(number, number, {}, {}, evaluation=number))
    return {"event": kind, "data": data}


def warnings(store: JobStore, identifier: str) -> list[JobWarning]:
    events = (entry.event for entry in store.events(identifier, 0))
    return [event for event in events if isinstance(event, JobWarning)]


async def test_a_job_goes_on_when_its_worker_dies_and_its_log_says_how(start: Start, store: JobStore) -> None:
    supervisor, pool = await start(says(state("PREPARING"), state("TRAINING"), step(1)), says(), succeeds(step(2)))
    identifier = await submitted(supervisor)
    job = await ended(supervisor, store, identifier)
    assert (job.state, job.attempt, job.owner) == (State.SUCCEEDED, 3, "")
    assert [worker.jobs for worker in pool.taken] == [[identifier]] * 3
    assert log_of(store, identifier) == [
        *("QUEUED", "PREPARING", "TRAINING", "QUEUED", "PREPARING", "TRAINING", "PUBLISHING", "SUCCEEDED")
    ]
    told = warnings(store, identifier)
    assert [warning.reason for warning in told] == ["WORKER_RESTARTED", "WORKER_RESTARTED"]
    assert "exited with code 3; the job goes on from its last checkpoint" in told[0].message


async def test_a_job_whose_worker_dies_again_and_again_fails_alone(start: Start, store: JobStore) -> None:
    supervisor, pool = await start(*[DIES] * 4)
    job = await ended(supervisor, store, await submitted(supervisor))
    assert job.error is not None and (job.state, job.error.reason) == (State.FAILED, "WORKER_DIED")
    assert "exited with code 3" in job.error.message
    assert len(pool.taken) == 4
    assert (await ended(supervisor, store, await submitted(supervisor))).state is State.SUCCEEDED


async def test_a_job_that_makes_progress_may_go_on_as_often_as_it_dies(start: Start, store: JobStore) -> None:
    scripts = [says(state("PREPARING"), state("TRAINING"), epoch(number)) for number in range(1, 8)]
    supervisor, pool = await start(*scripts, succeeds())
    assert (await ended(supervisor, store, await submitted(supervisor))).state is State.SUCCEEDED
    assert len(pool.taken) == 8


async def runs_out(worker: FakeWorker) -> AsyncIterator[dict[str, Any]]:
    """A worker that the system kills for want of memory."""
    worker.death = Death("was killed by the system", memory=True)
    yield state("PREPARING")


@pytest.mark.parametrize(
    "script", [runs_out, says(state("PREPARING"), failed("OUT_OF_MEMORY"))], ids=["killed", "told"]
)
async def test_memory_that_runs_out_halves_the_passes_once(start: Start, store: JobStore, script: Script) -> None:
    supervisor, pool = await start(script)
    identifier = await submitted(supervisor)
    job = await ended(supervisor, store, identifier)
    assert (job.state, job.halvings) == (State.SUCCEEDED, 1)
    assert [job_["halvings"] for worker in pool.taken for job_ in worker.envelopes] == [0, 1]
    assert [warning.reason for warning in warnings(store, identifier)] == ["MEMORY_RAN_OUT"]
    again, pool = await start(script, script)
    job = await ended(again, store, await submitted(again))
    assert job.error is not None and (job.state, job.error.reason) == (State.FAILED, "OUT_OF_MEMORY")
    assert "lower trainer.batch_size" in job.error.message


async def test_a_worker_that_is_silent_too_long_is_killed_and_its_job_goes_on(start: Start, store: JobStore) -> None:
    supervisor, pool = await start(hangs, hang_seconds=0.5)
    identifier = await submitted(supervisor)
    assert (await ended(supervisor, store, identifier)).state is State.SUCCEEDED
    assert pool.taken[0].killed.is_set()
    [warning] = warnings(store, identifier)
    assert (warning.reason, "no sign of life for 0.5 seconds" in warning.message) == ("WORKER_RESTARTED", True)


async def dies_when_cancelled(worker: FakeWorker) -> AsyncIterator[dict[str, Any]]:
    """A worker that ends without a word."""
    yield state("PREPARING")
    yield state("TRAINING")
    await worker.cancelled.wait()


async def test_a_cancelled_job_whose_worker_dies_does_not_go_on(start: Start, store: JobStore) -> None:
    supervisor, pool = await start(dies_when_cancelled)
    identifier = await submitted(supervisor)
    await until(lambda: store.get(identifier).state is State.TRAINING)
    await supervisor.cancel(identifier)
    assert (await ended(supervisor, store, identifier)).state is State.CANCELLED
    assert len(pool.taken) == 1


async def test_a_job_for_which_no_worker_starts_waits_and_goes_on(
    start: Start, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "_HELD_SECONDS", 0.0)
    supervisor, pool = await start()
    pool.fails = 5
    job = await ended(supervisor, store, identifier := await submitted(supervisor))
    assert (job.state, job.attempt, len(pool.taken)) == (State.SUCCEEDED, 6, 1)
    told = warnings(store, identifier)
    assert [warning.reason for warning in told] == ["WORKER_RESTARTED"] * 5
    assert "did not start, several times in a row: the last one was killed by SIGKILL" in told[0].message
    # it was in the queue all the time, as far as its log says
    assert log_of(store, identifier).count("QUEUED") == 1


async def test_a_job_for_which_no_worker_ever_starts_fails_with_its_reason(
    start: Start, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "_HELD_SECONDS", 0.0)
    supervisor, pool = await start()
    pool.fails = 1_000
    job = await ended(supervisor, store, await submitted(supervisor))
    assert job.error is not None and (job.state, job.error.reason) == (State.FAILED, "WORKER_DIED")
    assert "did not start" in job.error.message
    pool.fails = 0
    assert (await ended(supervisor, store, await submitted(supervisor))).state is State.SUCCEEDED
