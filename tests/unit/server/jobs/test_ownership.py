"""Claims: each job is one server's at a time, on SQLite and PostgreSQL; what an older attempt says is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from headstart_server.core.states import State
from headstart_server.engines.events import StateChange
from headstart_server.jobs.ownership import Ownership
from headstart_server.jobs.store import JobStore, LostJobError
from headstart_server.training.reports import JobWarning

from tests.support.fake_workers import job_record, step_report
from tests.support.job_logs import owned


@pytest.fixture
def store(database_url: str) -> Iterator[JobStore]:
    opened = JobStore(database_url, migrate=True)
    yield opened
    opened.close()


def server(store: JobStore, name: str = "one", seconds: float = 60.0) -> Ownership:
    return Ownership(store.database, name, seconds)


def waiting(store: JobStore, tenant: str = "") -> str:
    return store.create(job_record(tenant=tenant))[0].identifier


def claimed(ownership: Ownership) -> str:
    job = ownership.claim()
    assert job is not None
    return job.identifier


def test_jobs_are_claimed_once_and_in_turn(store: JobStore) -> None:
    jobs = [waiting(store) for _ in range(3)]
    first = server(store).claim()
    assert first is not None
    assert first == store.get(first.identifier)
    assert (first.identifier, first.owner, first.attempt, first.state) == (jobs[0], "one", 1, State.QUEUED)
    assert [claimed(server(store, name)) for name in ("two", "one")] == jobs[1:]
    assert server(store).claim() is None


def test_servers_that_claim_at_once_get_each_another_job(store: JobStore) -> None:
    jobs = {waiting(store) for _ in range(24)}
    barrier = threading.Barrier(4)

    def claims(name: str) -> list[str]:
        ownership = server(store, name)
        barrier.wait()
        return [job.identifier for job in iter(ownership.claim, None)]

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(claims, "abcd"))
    assert sorted(name for names in found for name in names) == sorted(jobs)


def test_the_tenant_with_the_fewest_running_jobs_is_next_and_none_gets_more_than_its_limit(store: JobStore) -> None:
    many = [waiting(store, "many") for _ in range(4)]
    few = waiting(store, "few")
    ownership = Ownership(store.database, "one", 60.0, lambda tenant: 2 if tenant == "many" else None)
    assert [claimed(ownership) for _ in range(3)] == [many[0], few, many[1]]
    assert ownership.claim() is None
    store.cancel(many[0])
    assert claimed(ownership) == many[2]


def test_a_lease_is_held_as_long_as_it_is_renewed(store: JobStore) -> None:
    job = waiting(store)
    ownership = server(store, seconds=60.0)
    claimed(ownership)
    assert server(store, "two").reap() == []
    before = store.get(job).lease_until
    assert ownership.renew({job: 1}) == {job: State.QUEUED}
    assert store.get(job).lease_until > before
    assert ownership.renew({job: 2}) == {}
    assert server(store, "two").renew({job: 1}) == {}
    store.append(job, StateChange(State.PREPARING))
    store.cancel(job)
    assert ownership.renew({job: 1}) == {job: State.CANCELLING}


def test_what_a_lost_server_ran_goes_back_to_the_queue_and_its_reports_are_refused(store: JobStore) -> None:
    lost, other = server(store, "lost", -1.0), server(store, "other")
    job = waiting(store)
    claimed(lost)
    store.append_reports(job, [StateChange(State.PREPARING)], attempt=1)
    assert lost.reap([job]) == []  # its own
    [(queued, [warning, change])] = other.reap()
    assert (queued.state, queued.owner, queued.attempt) == (State.QUEUED, "", 1)
    assert isinstance(warning.event, JobWarning) and "the server 'lost'" in warning.event.message
    assert change.event == StateChange(State.QUEUED, State.PREPARING)
    for attempt in (1, 2):
        with pytest.raises(LostJobError):
            store.append_reports(job, [step_report(1)], attempt=attempt)
    assert claimed(other) == job
    with pytest.raises(LostJobError):
        store.end(job, State.FAILED, attempt=1)
    assert lost.renew({job: 1}) == {}
    assert store.append_reports(job, [StateChange(State.PREPARING)], attempt=2)[0].state is State.PREPARING


def test_a_lease_that_ran_out_and_that_nobody_took_is_renewed(store: JobStore) -> None:
    job, late = waiting(store), server(store, "late", -1.0)
    claimed(late)
    assert late.renew({job: 1}) == {job: State.QUEUED}


@pytest.mark.parametrize(("asked", "after"), [("CANCELLING", "CANCELLED"), ("PAUSING", "PAUSED")])
def test_a_job_that_was_to_stop_has_stopped_with_its_server(store: JobStore, asked: str, after: str) -> None:
    job = owned(store, waiting(store), "lost").identifier
    for state in ("PREPARING", asked):
        store.append(job, StateChange(State(state)))
    [(stopped, _)] = server(store).reap(alone=True)
    assert (stopped.state, stopped.owner) == (State(after), "")


def test_a_job_that_was_claimed_and_not_begun_waits_as_before(store: JobStore) -> None:
    job = owned(store, waiting(store), "lost").identifier
    [(waits, appended)] = server(store).reap(alone=True)
    assert (waits.state, waits.owner, appended) == (State.QUEUED, "", [])
    assert claimed(server(store)) == job


def test_a_job_that_an_earlier_release_left_running_goes_back_to_the_queue(store: JobStore) -> None:
    job = waiting(store)
    for state in ("PREPARING", "TRAINING"):
        store.append(job, StateChange(State(state)))
    [(queued, _)] = server(store).reap()
    assert queued.state is State.QUEUED


def test_a_claim_whose_answer_was_lost_is_given_up_when_its_lease_has_run_out(store: JobStore) -> None:
    job, own = waiting(store), server(store, "one", -1.0)
    claimed(own)
    assert own.reap([job]) == []
    [(queued, _)] = own.reap([])
    assert (queued.identifier, queued.state) == (job, State.QUEUED)
