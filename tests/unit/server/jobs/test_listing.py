"""Lists of jobs: by filter, in any order, in pages, alike on every database, and as the filter's own words say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from headstart_server.core.filters import matches, parse
from headstart_server.core.states import State
from headstart_server.engines.events import EncodeReport
from headstart_server.jobs.filtering import FIELDS, SEARCHED
from headstart_server.jobs.history import MOST_EPOCHS
from headstart_server.jobs.listing import JobList, Order
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.store import JobStore
from headstart_server.rpc.jobs import epoch_message
from headstart_server.training.reports import EpochReport, JobWarning

from tests.support.fake_workers import job_record, step_report
from tests.support.job_logs import created

START = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def store(database_url: str) -> Iterator[JobStore]:
    """On SQLite, and on PostgreSQL."""
    opened = JobStore(database_url, migrate=True)
    yield opened
    opened.close()


@pytest.fixture
def jobs(store: JobStore) -> list[JobRecord]:
    """Six jobs a day apart, of which two have ended."""
    made = []
    for number in range(6):
        record = job_record(
            display_name=["Nightly reviews", "weekly", "nightly", "50%_off", "Über uns", ""][number],
            labels=[{"team": "search"}, {"team": "sales", "a/b": "1"}, {}, {"team": "search"}, {}, {"x": "*"}][number],
            priority=number - 2,
            creator=["ann", "bob"][number % 2],
            create_time=START + timedelta(days=number),
        )
        made.append(store.create(record)[0])
    for index in (3, 1):
        store.cancel(made[index].identifier)
    return [store.get(job.identifier) for job in made]


@pytest.mark.parametrize(
    "text",
    [
        "nightly",
        'display_name = "Nightly reviews"',
        "über",
        'display_name : "ÜBER"',
        'model = "models/m1"',
        'display_name = "nightly*"',
        'display_name = "*ly"',
        'display_name = "*ght*"',
        'display_name = ""',
        'display_name = "*"',
        'display_name : "50%_"',
        "state = CANCELLED",
        "state != CANCELLED",
        "creator = bob AND NOT weekly",
        'labels.team = "search"',
        'labels.team != "search"',
        "NOT labels.team = search",
        "labels:team",
        "labels.a/b = 1 OR labels.x : *",
        'labels.x = "*"',
        "priority > -1 priority <= 2",
        "create_time >= 2026-05-03 create_time < 2026-05-05",
        "NOT end_time > 2020-01-01",
        "end_time > 2020-01-01",
        "start_time > 2020-01-01",
        'description = "" (creator = ann OR priority = -1)',
    ],
)
def test_a_filter_means_the_same_in_the_database_as_in_words(store: JobStore, jobs: list[JobRecord], text: str) -> None:
    condition = parse(text, FIELDS, SEARCHED)
    expected = [job.identifier for job in jobs if matches(condition, vars(job))]
    found = store.listed(100, JobList(condition=condition, order=Order(descending=False)))
    assert [job.identifier for job in found] == expected


@pytest.mark.parametrize("field", ["create_time", "update_time", "end_time"])
@pytest.mark.parametrize("descending", [False, True])
def test_pages_have_every_job_once_and_in_order(
    store: JobStore, jobs: list[JobRecord], field: str, *, descending: bool
) -> None:
    order = Order(field, descending)
    expected = sorted(jobs, key=order.position, reverse=descending)
    found: list[JobRecord] = []
    wanted = JobList(order=order)
    while page := store.listed(2, wanted):
        found += page
        wanted = replace(wanted, after=order.position(page[-1]))
    assert [job.identifier for job in found] == [job.identifier for job in expected]


def test_a_list_without_specs_leaves_them_out(store: JobStore) -> None:
    store.create(job_record(spec={"input_features": [{"name": "a"}]}, labels={"k": "v"}))
    [whole], [short] = store.listed(2, JobList()), store.listed(2, JobList(whole=False))
    assert (whole.spec, short.spec, short.labels) == ({"input_features": [{"name": "a"}]}, {}, {"k": "v"})


def test_what_a_log_tells_as_a_whole(store: JobStore) -> None:
    job = created(store, "PREPARING", "TRAINING")
    told = [EpochReport(number, number, {}, {}, {}, best=number == 2) for number in (1, 2, 3, 2)]
    store.append_reports(job.identifier, [JobWarning("A", "first"), step_report(7), *told], job.attempt)
    history = store.history(job.identifier)
    assert [warning.message for warning in history.warnings] == ["first"]
    assert [epoch.epoch for epoch in history.epochs] == [1, 2, 3]
    assert store.get(job.identifier).step == step_report(7)


def test_of_many_evaluations_some_are_told_with_the_best_and_the_last(store: JobStore) -> None:
    job = created(store, "PREPARING", "TRAINING")
    total = 2 * MOST_EPOCHS + 2
    told = [EpochReport(number, number, {}, {}, {}, best=number == 778) for number in range(1, total + 1)]
    # the last ones are told again, as after a resumption
    store.append_reports(job.identifier, [*told, *told[-4:-1]], job.attempt)
    epochs = [epoch.epoch for epoch in store.history(job.identifier).epochs]
    assert MOST_EPOCHS - 1 <= len(epochs) <= MOST_EPOCHS
    assert (epochs[0], epochs[-1], 778 in epochs) == (1, total, True)
    assert max(later - epoch for epoch, later in pairwise(epochs)) <= 4


def test_evaluations_of_many_outputs_fit_an_answer(store: JobStore) -> None:
    job = created(store, "PREPARING", "TRAINING")
    metrics = {f"output_{number}.mean_absolute_error": 0.1234567890123 for number in range(140)}
    told = [EpochReport(number, number, metrics, metrics, metrics, best=number == 3) for number in range(1, 400)]
    store.append_reports(job.identifier, told, job.attempt)
    epochs = store.history(job.identifier).epochs
    assert (epochs[0].epoch, epochs[-1].epoch, 3 in [epoch.epoch for epoch in epochs]) == (1, 399, True)
    assert 40 <= len(epochs) < 100
    assert sum(epoch_message(epoch).ByteSize() for epoch in epochs) < 1 << 20


def test_numbers_that_no_event_has_find_nothing(store: JobStore) -> None:
    job = created(store, "PREPARING", "TRAINING")
    assert store.events(job.identifier, 2**63 - 1) == []


def test_progress_is_stored_with_the_job(store: JobStore) -> None:
    job = created(store, "PREPARING", "ENCODING")
    report = EncodeReport(total=10, seen=4, found=0, repeated=0, encoded=4, shared=0, seconds=1.0, feature="text")
    stored, _ = store.append_reports(job.identifier, [report], job.attempt)
    assert store.get(job.identifier).encode == stored.encode == {"text": report}
    assert stored.state is State.ENCODING
