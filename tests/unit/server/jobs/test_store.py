"""The store: a log without gaps, whatever is written at once, and one transaction for each thing that happens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from headstart_server.core.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    NotFoundError,
    OutOfRangeError,
    QuotaError,
)
from headstart_server.core.states import State
from headstart_server.data.source import SourceRecord
from headstart_server.engines.events import (
    EncodeReport,
    JobEvent,
    JobFailure,
    ModelPublished,
    RowCounts,
    SpecResolved,
    StateChange,
)
from headstart_server.jobs.records import LogEntry
from headstart_server.jobs.store import JobStore, LostJobError
from headstart_server.jobs.tables import JOBS
from headstart_server.training.reports import EpochReport, JobWarning, PastEpoch
from sqlalchemy import update

from tests.support.fake_workers import job_record, step_report
from tests.support.job_logs import created, numbers, owned, sequences


@pytest.fixture
def store(database_url: str) -> Iterator[JobStore]:
    """On SQLite, and on PostgreSQL."""
    opened = JobStore(database_url, migrate=True)
    yield opened
    opened.close()


def test_who_asks_for_room_is_told_how_many_wait_and_how_many_of_its_own(store: JobStore) -> None:
    asked: list[tuple[str, int, int]] = []

    def require(tenant: str, waiting: int, own: int) -> None:
        asked.append((tenant, waiting, own))
        if own == 2:
            raise QuotaError("full")

    for tenant in ("a", "b", "a"):
        store.create(job_record(tenant=tenant), require)
    owned(store, store.create(job_record(tenant="b"), require)[0].identifier)
    with pytest.raises(QuotaError):
        store.create(job_record(tenant="a"), require)
    assert asked == [("a", 0, 0), ("b", 1, 0), ("a", 2, 1), ("b", 3, 1), ("a", 3, 2)]
    assert len(store.newest(10)) == 4


def of(entries: list[LogEntry]) -> list[JobEvent]:
    return [entry.event for entry in entries]


def steps(*numbers: int) -> list[JobEvent]:
    return list(map(step_report, numbers))


def epoch(number: int, evaluation: int = 0, *, best: bool = False) -> EpochReport:
    return EpochReport(number, 10 * number, {}, {}, best=best, rows_per_second=1.0, evaluation=evaluation)


def test_a_job_is_read_back_as_it_was_stored(store: JobStore, database_url: str) -> None:
    source = SourceRecord("dataset", "/data/rows.csv", "csv", "d1")
    job, new = store.create(job_record(display_name="naïve", spec={"trainer": {"epochs": 3}}, sources=[source]))
    assert new
    again = JobStore(database_url)
    assert again.get(job.identifier) == job
    assert (job.display_name, job.spec, job.sources) == ("naïve", {"trainer": {"epochs": 3}}, [source])
    again.close()


def test_the_log_has_no_gaps_and_replays_from_any_point(store: JobStore) -> None:
    job = created(store, "PREPARING")
    store.append_reports(job.identifier, steps(*range(7)), attempt=1)
    everything = sequences(store, job)
    assert everything == list(range(1, 10))
    for after in range(10):
        assert sequences(store, job, after) == everything[after:]
    assert store.get(job.identifier).last_sequence == 9


def test_events_come_in_pages(store: JobStore) -> None:
    job = owned(store, created(store).identifier)
    store.append_reports(job.identifier, steps(*range(300)), attempt=1)
    assert len(store.events(job.identifier, 0)) == 200
    assert numbers(store, job, 250, limit=3) == [249, 250, 251]


def test_a_request_id_stands_for_one_body(store: JobStore) -> None:
    first, new = store.create(job_record(request_id="r", request_digest="a"))
    again, second = store.create(job_record(request_id="r", request_digest="a"))
    assert (new, second, again) == (True, False, first)
    with pytest.raises(AlreadyExistsError, match=f"trainJobs/{first.identifier}") as refused:
        store.create(job_record(request_id="r", request_digest="b"))
    assert (refused.value.field, refused.value.reason) == ("request_id", "REQUEST_ID_REUSED")
    assert len(store.newest(10)) == 1


def test_requests_without_an_id_are_never_the_same(store: JobStore) -> None:
    assert [store.create(job_record())[1] for _ in range(2)] == [True, True]
    assert store.known("", "", "") is None


def test_a_batch_of_reports_is_written_whole_or_not_at_all(store: JobStore) -> None:
    job = created(store, "PREPARING")
    with pytest.raises(FailedPreconditionError):
        store.append_reports(job.identifier, [*steps(1, 2), StateChange(State.SUCCEEDED)], attempt=1)
    assert sequences(store, job) == [1, 2]
    assert store.get(job.identifier) == job


def test_a_states_origin_is_what_the_store_knows(store: JobStore) -> None:
    job = owned(store, created(store).identifier)
    _, appended = store.append_reports(job.identifier, [StateChange(State.PREPARING, State.TRAINING)], attempt=1)
    assert of(appended) == [StateChange(State.PREPARING, State.QUEUED)]
    assert store.events(job.identifier, 1) == appended


def test_an_epoch_that_was_perhaps_reported_is_in_the_log_once(store: JobStore) -> None:
    job = created(store, "PREPARING")
    epochs, warning = [epoch(number, best=number == 2) for number in range(1, 5)], JobWarning("RESUMED", "")
    store.append_reports(job.identifier, [epochs[0]], attempt=1)
    resumed: list[JobEvent] = [warning, *map(PastEpoch, epochs[:3])]
    after, appended = store.append_reports(job.identifier, [*resumed, epochs[3]], attempt=1)
    assert of(appended) == [warning, *epochs[1:]]
    assert after.best_epoch == epochs[1]
    assert store.append_reports(job.identifier, resumed[1:], attempt=1)[1] == []


def test_each_evaluation_of_an_epoch_is_in_the_log_once(store: JobStore) -> None:
    job = created(store, "PREPARING")
    reports = [epoch(1 + number // 2, number) for number in (1, 2, 3)]
    store.append_reports(job.identifier, [reports[0]], attempt=1)
    _, appended = store.append_reports(job.identifier, list(map(PastEpoch, reports)), attempt=1)
    assert of(appended) == reports[1:]


def test_a_cancelled_jobs_worker_changes_its_state_no_more(store: JobStore) -> None:
    job = created(store, "PREPARING", "CANCELLING")
    after, appended = store.append_reports(job.identifier, [StateChange(State.TRAINING), *steps(1)], attempt=1)
    assert after.state is State.CANCELLING
    assert of(appended) == steps(1)


@pytest.mark.parametrize("end", [State.FAILED, State.CANCELLED])
def test_an_ended_job_takes_no_report(store: JobStore, end: State) -> None:
    job = created(store, "PREPARING")
    ended, _ = store.end(job.identifier, end, attempt=1)
    with pytest.raises(LostJobError, match=f"{end} in attempt 1"):
        store.append_reports(job.identifier, [StateChange(State.TRAINING), *steps(1)], attempt=1)
    with pytest.raises(LostJobError):
        store.end(job.identifier, State.CANCELLED, attempt=1)
    assert (store.get(job.identifier), sequences(store, job)) == (ended, [1, 2, 3])
    assert (ended.owner, ended.lease_until) == ("", 0)


def test_a_success_and_its_model_are_one_step(store: JobStore) -> None:
    job = created(store, "PREPARING", "PUBLISHING")
    model = ModelPublished(job.identifier, epoch(1, best=True))
    assert store.unpublished([job.identifier, "another"]) == {job.identifier}
    ended, appended = store.end(job.identifier, State.SUCCEEDED, attempt=1, published=model)
    assert store.unpublished([job.identifier]) == set()
    assert of(appended) == [model, StateChange(State.SUCCEEDED, State.PUBLISHING)]
    assert (ended.model, ended.best_epoch) == (job.identifier, model.best_epoch)


def test_events_are_kept_as_long_as_they_are_to_be(store: JobStore) -> None:
    job, running = created(store, "PREPARING"), created(store, "PREPARING")
    ended, _ = store.end(job.identifier, State.FAILED, JobFailure("X", "y"), attempt=1)
    assert ended.end_time is not None
    assert store.expire_events(ended.end_time) == 0
    assert store.expire_events(ended.end_time + timedelta(seconds=1)) == 1
    assert store.expire_events(ended.end_time + timedelta(seconds=1)) == 0
    with pytest.raises(OutOfRangeError, match=r"events 1 to 2 of .* watch it after 2") as refused:
        store.events(job.identifier, 0)
    assert refused.value.reason == "EVENTS_EXPIRED"
    assert [entry.sequence for entry in store.events(job.identifier, 2)] == [3]
    assert sequences(store, running) == [1, 2]
    assert store.get(job.identifier) == ended


@pytest.mark.parametrize(
    ("states", "after"),
    [((), State.CANCELLED), (("PREPARING",), State.CANCELLING), (("PREPARING", "PUBLISHING"), State.CANCELLING)],
)
def test_cancelling_ends_what_waits_and_marks_what_runs(store: JobStore, states: tuple[str, ...], after: State) -> None:
    job = created(store, *states)
    cancelled, appended = store.cancel(job.identifier)
    assert cancelled.state is after
    assert of(appended) == [StateChange(after, job.state)]


def test_cancelling_twice_is_once_and_too_late_is_refused(store: JobStore) -> None:
    job = created(store, "PREPARING")
    first, _ = store.cancel(job.identifier)
    assert store.cancel(job.identifier) == (first, [])
    store.end(job.identifier, State.CANCELLED, attempt=1)
    assert store.cancel(job.identifier)[0].state is State.CANCELLED
    failed = created(store, "PREPARING")
    store.end(failed.identifier, State.FAILED, attempt=1)
    with pytest.raises(FailedPreconditionError, match="has ended"):
        store.cancel(failed.identifier)


def test_a_cancelled_job_that_fails_on_its_way_out_is_cancelled(store: JobStore) -> None:
    job = created(store, "PREPARING", "CANCELLING")
    ended, _ = store.end(job.identifier, State.FAILED, JobFailure("X", "y"), attempt=1)
    assert (ended.state, ended.error) == (State.CANCELLED, None)


def test_what_events_say_of_a_job_is_kept(store: JobStore) -> None:
    job = created(store, "PREPARING")
    started = job.start_time
    resolved = SpecResolved({}, [], RowCounts(3, 2, 1))
    for event in (
        resolved,
        EncodeReport(9, seen=1, feature="a"),
        EncodeReport(9, seen=2, feature="b"),
        EncodeReport(9, seen=3, feature="a"),
        epoch(1, best=True),
        epoch(2),
    ):
        job, _ = store.append(job.identifier, event)
    assert {name: item.seen for name, item in job.encode.items()} == {"a": 3, "b": 2}
    assert (job.best_epoch, job.resolved, job.end_time) == (epoch(1, best=True), resolved, None)
    error = JobFailure("X", "y")
    ended, _ = store.end(job.identifier, State.FAILED, error, attempt=1)
    assert (ended.error, ended.start_time) == (error, started)
    assert ended.end_time is not None
    assert store.get(job.identifier) == ended


def test_jobs_are_listed_newest_first_in_pages_and_by_state(store: JobStore) -> None:
    jobs = [created(store, *states) for states in ((), ("PREPARING",), (), ("PREPARING", "TRAINING"))]
    names = [job.identifier for job in sorted(jobs, key=lambda job: job.identifier, reverse=True)]
    assert [job.identifier for job in store.newest(3)] == names[:3]
    assert [job.identifier for job in store.newest(3, before=names[2])] == names[3:]
    running = store.newest(10, states=[State.PREPARING, State.TRAINING])
    assert {job.identifier for job in running} == {jobs[1].identifier, jobs[3].identifier}


def test_only_ended_jobs_are_deleted_and_their_log_with_them(store: JobStore) -> None:
    job, other = created(store, "PREPARING"), created(store)
    with pytest.raises(FailedPreconditionError, match="cancel it first"):
        store.delete(job.identifier)
    store.end(job.identifier, State.CANCELLED, attempt=1)
    store.delete(job.identifier)
    assert sequences(store, job) == []
    assert sequences(store, other) == [1]
    for call in (store.get, store.delete, store.cancel):
        with pytest.raises(NotFoundError):
            call(job.identifier)


def test_questions_about_all_jobs_are_answered_by_state(store: JobStore) -> None:
    running, waiting, ended = (
        job_record(sources=[SourceRecord("dataset", "x", "csv", name)]) for name in ("d1", "d2", "d1")
    )
    for job in (running, waiting, ended):
        store.create(job)
    store.append(running.identifier, StateChange(State.PREPARING))
    store.cancel(ended.identifier)
    unfinished = [state for state in State if not state.terminal]
    assert store.earliest(unfinished) == min(running.create_time, waiting.create_time)
    assert store.earliest([State.PAUSED]) is None
    assert store.user_of("d1", unfinished) == running.identifier
    assert store.user_of("d1", [State.QUEUED]) is None
    assert store.user_of("d", unfinished) is None
    with store.database.writing() as connection:  # damaged: nobody knows that it does not need the data set
        connection.execute(update(JOBS).where(JOBS.c.identifier == waiting.identifier).values(sources='["d2"]'))
    assert store.user_of("d2", unfinished) == waiting.identifier
