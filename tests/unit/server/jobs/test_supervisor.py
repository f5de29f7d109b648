"""The supervisor over workers that do as they are told: every job ends once, and none takes the others with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from headstart_server.core.errors import (
    AlreadyExistsError,
    OverloadedError,
    QuotaError,
    StoreFullError,
    UnavailableError,
)
from headstart_server.core.quotas import Quotas, QuotaTable, TenantQuotas
from headstart_server.core.states import State
from headstart_server.jobs.log_writer import Appended
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.store import JobStore, Require
from headstart_server.training.reports import StepReport

from tests.support.fake_workers import (
    CANCELLED,
    Script,
    failed,
    hangs,
    job_record,
    says,
    state,
    step,
    succeeds,
    trains_until_cancelled,
    trains_until_paused,
)
from tests.support.job_logs import created
from tests.support.supervised import Start, ended, log_of, submitted, until


async def test_a_job_goes_from_queue_to_end_with_all_that_its_worker_says(start: Start, store: JobStore) -> None:
    supervisor, pool = await start(succeeds(*map(step, range(1_000))))
    identifier = await submitted(supervisor)
    job = await ended(supervisor, store, identifier)
    assert log_of(store, identifier) == ["QUEUED", "PREPARING", "TRAINING", "PUBLISHING", "SUCCEEDED"]
    events = store.events(identifier, 0, limit=10_000)
    assert [event.sequence for event in events] == list(range(1, job.last_sequence + 1))
    assert [entry.event.step for entry in events if isinstance(entry.event, StepReport)] == list(range(1_000))
    assert pool.taken[0].jobs == [identifier]


async def test_jobs_run_in_the_order_they_came(start: Start, store: JobStore) -> None:
    supervisor, pool = await start()
    names = [await submitted(supervisor) for _ in range(4)]
    await ended(supervisor, store, names[-1])
    assert [worker.jobs for worker in pool.taken] == [[name] for name in names]


@pytest.mark.parametrize(
    ("script", "clean"),
    [
        (succeeds(), True),
        (says(state("PREPARING"), failed("NON_FINITE_LOSS")), True),
        (says(state("PREPARING"), CANCELLED), True),
        (says(state("PREPARING"), failed("INTERNAL")), False),
        (says(state("PREPARING"), failed("OUT_OF_MEMORY")), False),
        (says(state("PREPARING")), False),
        (says(state("PREPARING"), {"event": "step"}), False),
    ],
    ids=["succeeded", "failed", "cancelled", "unknown error", "out of memory", "died", "nonsense"],
)
async def test_only_a_worker_that_ended_cleanly_is_used_again(
    start: Start, store: JobStore, script: Script, *, clean: bool
) -> None:
    supervisor, pool = await start(script)
    await ended(supervisor, store, await submitted(supervisor))
    await until(lambda: bool(pool.returned))
    assert pool.returned[0] is clean


@pytest.mark.parametrize("nonsense", [{"event": "step"}, {"done": {}}, state("NOWHERE"), state("SUCCEEDED")], ids=str)
async def test_a_worker_that_makes_no_sense_fails_its_job_alone(
    start: Start, store: JobStore, nonsense: dict[str, Any]
) -> None:
    # what cannot be read is as if the worker had died; what can be is believed once
    times = 4 if nonsense in ({"event": "step"}, state("NOWHERE")) else 1
    supervisor, _ = await start(*[says(state("PREPARING"), nonsense)] * times)
    job = await ended(supervisor, store, await submitted(supervisor))
    assert job.error is not None
    assert (job.state, job.error.reason in ("INTERNAL", "WORKER_DIED")) == (State.FAILED, True)
    assert (await ended(supervisor, store, await submitted(supervisor))).state is State.SUCCEEDED


async def test_a_running_job_is_asked_to_stop_and_its_worker_kept(start: Start, store: JobStore) -> None:
    supervisor, pool = await start(trains_until_cancelled)
    identifier = await submitted(supervisor)
    await until(lambda: store.get(identifier).state is State.TRAINING)
    assert (await supervisor.cancel(identifier)).state is State.CANCELLING
    assert (await ended(supervisor, store, identifier)).state is State.CANCELLED
    await until(lambda: bool(pool.returned))
    assert (pool.returned, pool.taken[0].killed.is_set()) == ([True], False)
    assert (await supervisor.cancel(identifier)).state is State.CANCELLED


async def test_a_worker_that_does_not_stop_is_killed(start: Start, store: JobStore) -> None:
    supervisor, pool = await start(hangs, cancel_seconds=0.05)
    identifier = await submitted(supervisor)
    await until(lambda: store.get(identifier).state is State.PREPARING)
    await supervisor.cancel(identifier)
    assert (await ended(supervisor, store, identifier)).state is State.CANCELLED
    await until(lambda: bool(pool.returned))
    assert (pool.returned, pool.taken[0].killed.is_set()) == ([False], True)


async def test_a_job_cancelled_while_its_worker_starts_never_runs(start: Start, store: JobStore) -> None:
    supervisor, pool = await start()
    pool.room.clear()
    identifier = await submitted(supervisor)
    await pool.asked.wait()
    assert (await supervisor.cancel(identifier)).state is State.CANCELLED
    pool.room.set()
    await until(lambda: bool(pool.returned))
    assert (pool.returned, pool.taken[0].jobs) == ([True], [])
    assert log_of(store, identifier) == ["QUEUED", "CANCELLED"]


async def test_a_job_cancelled_while_it_is_handed_over_is_stopped(start: Start, store: JobStore) -> None:
    """The worker forgets a cancellation that came before its job; its first report ends it."""

    async def deaf(worker: Any) -> AsyncIterator[dict[str, Any]]:
        store.cancel(worker.jobs[0])
        yield state("PREPARING")
        await worker.killed.wait()

    supervisor, pool = await start(deaf)
    identifier = await submitted(supervisor)
    await until(lambda: bool(pool.returned))
    assert pool.returned == [False]
    assert log_of(store, identifier) == ["QUEUED", "CANCELLED"]
    assert store.get(identifier).last_sequence == 2


async def test_a_job_deleted_while_it_waited_stops_nobody(start: Start, store: JobStore) -> None:
    supervisor, _ = await start(trains_until_cancelled)
    first, waiting = await submitted(supervisor), await submitted(supervisor)
    await supervisor.cancel(waiting)
    await supervisor.delete(waiting)
    third = await submitted(supervisor)
    await until(lambda: store.get(first).state is State.TRAINING)
    await supervisor.cancel(first)
    assert (await ended(supervisor, store, third)).state is State.SUCCEEDED


async def test_more_jobs_than_the_limit_are_refused_until_one_leaves(start: Start, store: JobStore) -> None:
    supervisor, _ = await start(trains_until_cancelled, max_queued=2)
    running = await submitted(supervisor)
    await until(lambda: store.get(running).state is State.TRAINING)
    answers = await asyncio.gather(*(supervisor.submit(job_record()) for _ in range(5)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert len(refused) == 3
    assert all(isinstance(error, OverloadedError) and error.retry_after > 0 for error in refused)
    waiting = next(job for job in store.newest(10) if job.identifier != running)
    await supervisor.cancel(waiting.identifier)
    await submitted(supervisor)
    with pytest.raises(OverloadedError):
        await supervisor.submit(job_record())


async def test_a_tenant_queues_as_many_jobs_as_its_quota_says_and_no_other_is_kept_out(
    start: Start, store: JobStore
) -> None:
    quotas = Quotas(QuotaTable(tenants={"small": TenantQuotas(queued_jobs=2)}))
    supervisor, _ = await start(trains_until_cancelled, quotas=quotas)
    running = await submitted(supervisor, tenant="other")
    await until(lambda: store.get(running).state is State.TRAINING)
    first = await submitted(supervisor, tenant="small", request_id="first")
    await submitted(supervisor, tenant="small")
    with pytest.raises(QuotaError, match="2 jobs wait, and the quota queued_jobs"):
        await supervisor.submit(job_record(tenant="small"))
    await submitted(supervisor, tenant="other")
    again, new = await supervisor.submit(job_record(tenant="small", request_id="first"))
    assert (again.identifier, new) == (first, False)
    await supervisor.cancel(first)
    await submitted(supervisor, tenant="small")


async def test_a_repeated_request_is_answered_however_many_wait(start: Start, store: JobStore) -> None:
    supervisor, _ = await start(trains_until_cancelled, max_queued=1)
    await submitted(supervisor)
    await until(lambda: store.newest(1)[0].state is State.TRAINING)
    first = await submitted(supervisor, request_id="r", request_digest="a")
    again, new = await supervisor.submit(job_record(request_id="r", request_digest="a"))
    assert (again.identifier, new) == (first, False)
    with pytest.raises(AlreadyExistsError):
        await supervisor.submit(job_record(request_id="r", request_digest="b"))


async def test_a_job_whose_caller_goes_while_it_is_stored_runs_all_the_same(
    start: Start, store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, _ = await start()
    create, stored, go_on = store.create, threading.Event(), threading.Event()

    def slowly(job: JobRecord, require: Require) -> tuple[JobRecord, bool]:
        created = create(job, require)
        stored.set()
        go_on.wait()
        return created

    monkeypatch.setattr(store, "create", slowly)
    job = job_record()
    caller = asyncio.create_task(supervisor.submit(job))
    await until(stored.is_set)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    go_on.set()
    assert (await ended(supervisor, store, job.identifier)).state is State.SUCCEEDED


@pytest.mark.parametrize("failure", [UnavailableError, StoreFullError, OverloadedError])
async def test_an_end_that_the_store_does_not_take_is_written_when_it_does(
    start: Start, store: JobStore, monkeypatch: pytest.MonkeyPatch, failure: type[Exception]
) -> None:
    end, failures = store.end, iter(range(3))

    def sometimes(*args: Any, **kwargs: Any) -> Appended:
        if next(failures, None) is not None:
            raise failure("full")
        return end(*args, **kwargs)

    monkeypatch.setattr(store, "end", sometimes)
    supervisor, _ = await start()
    first, second = await submitted(supervisor), await submitted(supervisor)
    assert (await ended(supervisor, store, first)).state is State.SUCCEEDED
    assert (await ended(supervisor, store, second)).state is State.SUCCEEDED


async def test_closing_ends_the_workers_and_leaves_the_jobs_to_the_next_server(start: Start, store: JobStore) -> None:
    supervisor, pool = await start(trains_until_cancelled)
    running, waiting = await submitted(supervisor), await submitted(supervisor)
    await until(lambda: store.get(running).state is State.TRAINING)
    watcher = asyncio.create_task(ended(supervisor, store, running))
    await supervisor.close()
    await watcher
    assert store.get(running).state is State.QUEUED
    assert supervisor.interrupted
    assert (pool.taken[0].killed.is_set(), pool.taken[0].stopped) == (True, True)

    again, _ = await start()
    assert (await ended(again, store, waiting)).state is State.SUCCEEDED
    assert log_of(store, running)[:5] == ["QUEUED", "PREPARING", "TRAINING", "QUEUED", "PREPARING"]
    assert store.get(running).state is State.SUCCEEDED  # it had come first


async def test_a_server_that_stops_waits_for_checkpoints_within_its_grace(start: Start, store: JobStore) -> None:
    supervisor, pool = await start(trains_until_paused)
    identifier = await submitted(supervisor)
    await until(lambda: store.get(identifier).state is State.TRAINING)
    await supervisor.close(10)
    assert log_of(store, identifier) == ["QUEUED", "PREPARING", "TRAINING", "QUEUED"]
    assert (pool.taken[0].pauses, store.get(identifier).owner) == ([10], "")


async def test_a_job_is_paused_and_goes_on_when_it_is_resumed(start: Start, store: JobStore) -> None:
    supervisor, pool = await start(trains_until_paused)
    identifier = await submitted(supervisor)
    await until(lambda: store.get(identifier).state is State.TRAINING)
    assert (await supervisor.pause(identifier)).state is State.PAUSING
    await until(lambda: store.get(identifier).state is State.PAUSED)
    await until(lambda: bool(pool.returned))
    assert pool.returned == [True]
    await supervisor.resume(identifier)
    assert (await ended(supervisor, store, identifier)).state is State.SUCCEEDED
    assert pool.taken[1].jobs == [identifier]


async def test_a_job_that_does_not_come_to_a_checkpoint_is_paused_without(start: Start, store: JobStore) -> None:
    supervisor, pool = await start(hangs, pause_seconds=0.02, cancel_seconds=0.02)
    identifier = await submitted(supervisor)
    await until(lambda: store.get(identifier).state is State.PREPARING)
    await supervisor.pause(identifier)
    await until(lambda: store.get(identifier).state is State.PAUSED)
    assert pool.taken[0].killed.is_set()


async def test_a_job_that_was_being_cancelled_is_cancelled_at_the_next_start(start: Start, store: JobStore) -> None:
    job = created(store, "PREPARING")
    store.cancel(job.identifier)
    _, pool = await start()
    assert store.get(job.identifier).state is State.CANCELLED
    assert pool.taken == []
