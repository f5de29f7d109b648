"""Workers that die: a job on this machine fails alone, one on a cluster goes on without the process that drove it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from headstart_server.core.states import State
from headstart_server.jobs.store import JobStore
from headstart_server.training.reports import JobWarning

from tests.support.fake_workers import FakeWorker, says, state, step, succeeds
from tests.support.supervised import Start, ended, log_of, submitted, until

ON_RAY = {"backend": {"type": "ray"}}


async def test_a_worker_that_dies_fails_its_job_alone_and_says_how(start: Start, store: JobStore) -> None:
    supervisor, _ = await start(says(state("PREPARING"), step(1)))
    job = await ended(supervisor, store, await submitted(supervisor))
    assert job.error is not None and (job.state, job.error.reason) == (State.FAILED, "WORKER_DIED")
    assert "exited with code 3" in job.error.message
    assert (await ended(supervisor, store, await submitted(supervisor))).state is State.SUCCEEDED


async def test_a_job_on_a_cluster_goes_on_when_the_process_that_drives_it_dies(start: Start, store: JobStore) -> None:
    supervisor, pool = await start(says(state("PREPARING"), state("TRAINING"), step(1)), says(), succeeds(step(2)))
    identifier = await submitted(supervisor, spec=ON_RAY)
    assert (await ended(supervisor, store, identifier)).state is State.SUCCEEDED
    assert [worker.jobs for worker in pool.taken] == [[identifier]] * 3
    assert log_of(store, identifier) == [
        *("QUEUED", "PREPARING", "TRAINING", "QUEUED", "PREPARING", "TRAINING", "PUBLISHING", "SUCCEEDED")
    ]
    warnings = [entry.event for entry in store.events(identifier, 0) if isinstance(entry.event, JobWarning)]
    assert [warning.reason for warning in warnings] == ["DRIVER_DIED", "DRIVER_DIED"]
    assert "exited with code 3; it goes on from its last checkpoint" in warnings[0].message


async def test_a_driver_that_dies_again_and_again_fails_its_job(start: Start, store: JobStore) -> None:
    supervisor, pool = await start(*[says(state("PREPARING"))] * 4)
    job = await ended(supervisor, store, await submitted(supervisor, spec=ON_RAY))
    assert job.error is not None and (job.state, job.error.reason) == (State.FAILED, "WORKER_DIED")
    assert len(pool.taken) == 4


async def test_a_cancelled_job_whose_driver_dies_does_not_go_on(start: Start, store: JobStore) -> None:
    supervisor, pool = await start(dies_when_cancelled)
    identifier = await submitted(supervisor, spec=ON_RAY)
    await until(lambda: store.get(identifier).state is State.TRAINING)
    await supervisor.cancel(identifier)
    assert (await ended(supervisor, store, identifier)).state is State.CANCELLED
    assert len(pool.taken) == 1


async def dies_when_cancelled(worker: FakeWorker) -> AsyncIterator[dict[str, Any]]:
    """A worker that ends without a word."""
    yield state("PREPARING")
    yield state("TRAINING")
    await worker.cancelled.wait()
