"""Metrics of jobs: right with two jobs at once, with a server that restarts, and gone with the job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from headstart_server.core.reasons import Reason
from headstart_server.core.states import State
from headstart_server.engines.events import EncodeReport, JobEvent, JobFailure, StateChange
from headstart_server.jobs.metering import JobMeter
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.store import JobStore
from headstart_server.service.measurements import job_readings
from headstart_server.training.reports import EpochReport
from prometheus_client import REGISTRY

from tests.support.fake_workers import failed, job_record, says, step, step_report, succeeds
from tests.support.job_logs import created
from tests.support.supervised import Start, ended, submitted, until

Measured = Callable[..., float]


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.fixture
def since() -> Iterator[Measured]:
    """By how much a metric has grown since it was asked for first."""
    before: dict[Any, float] = {}

    def growth(name: str, **labels: str) -> float:
        key = (name, *labels.items())
        return value(name, **labels) - before.setdefault(key, value(name, **labels))

    yield growth


def running(**changes: Any) -> JobRecord:
    return job_record(state=State.ENCODING, **changes)


def encode(found: int, encoded: int, total: int = 100, **more: Any) -> EncodeReport:
    """Progress of a pass whose encoder takes a tenth of a second for a row."""
    more = {"seconds": encoded / 10, "feature": "text", "space": "space", **more}
    return EncodeReport(total, seen=found + encoded, found=found, encoded=encoded, **more)


def test_two_jobs_that_pass_over_one_space_at_once_are_counted_apart(since: Measured) -> None:
    meter, first, second = JobMeter(), running(), running()
    rows = "headstart_embedding_rows_total"
    for outcome in ("found", "encoded"):
        since(rows, outcome=outcome)
    for report, job in [
        (encode(40, 10), first),
        (encode(0, 20), second),
        (encode(40, 30), first),
        (encode(0, 90), second),
    ]:
        meter.observe(job, report)
    assert (since(rows, outcome="found"), since(rows, outcome="encoded")) == (40, 120)


def test_a_pass_that_begins_again_is_counted_again(since: Measured) -> None:
    meter, job = JobMeter(), running()
    since("headstart_embedding_rows_total", outcome="encoded")
    for encoded in (20, 60, 10):
        meter.observe(job, encode(0, encoded))
    assert since("headstart_embedding_rows_total", outcome="encoded") == 70


def test_seconds_are_saved_by_rows_whose_encoder_was_measured(since: Measured) -> None:
    meter, saved = JobMeter(), "headstart_encoder_seconds_saved_total"
    since(saved)
    meter.observe(running(), encode(100, 0, space="unknown"))
    assert since(saved) == 0  # nobody knows how long its encoder takes
    job = running()
    meter.observe(job, encode(60, 0))
    assert since(saved) == 0
    meter.observe(job, encode(60, 40))
    assert since(saved) == pytest.approx(60 * 0.1)  # once it is known, of all rows of the pass
    meter.observe(running(), encode(100, 0))
    assert since(saved) == pytest.approx(160 * 0.1)  # in a later pass of the space, too


def test_a_new_server_learns_speeds_from_the_jobs_of_the_last(since: Measured) -> None:
    meter = JobMeter()
    meter.learn_speeds([job_record(encode={"text": encode(0, 50, space="kept")})])
    since("headstart_encoder_seconds_saved_total")
    meter.observe(running(), encode(100, 0, space="kept"))
    assert since("headstart_encoder_seconds_saved_total") == pytest.approx(100 * 0.1)


def test_waiting_and_computing_of_passes_add_up(since: Measured) -> None:
    name = "headstart_embedding_pass_seconds_total"
    activities = ("data_wait", "compute")
    for activity in activities:
        since(name, activity=activity)
    meter, job = JobMeter(), running()
    for report in (encode(0, 10, seconds=4.0, waited=1.0), encode(0, 20, seconds=10.0, waited=3.0)):
        meter.observe(job, report)
    assert [since(name, activity=activity) for activity in activities] == [3.0, 7.0]


def test_stages_last_from_one_state_to_the_next(since: Measured) -> None:
    meter, job = JobMeter(), job_record()
    stages = (State.QUEUED, State.PREPARING)
    for stage in stages:
        since("headstart_job_stage_seconds_sum", stage=stage)
    meter.queued(job)
    for before, to, seconds in [(State.QUEUED, State.PREPARING, 30), (State.PREPARING, State.TRAINING, 70)]:
        moment = job.create_time + timedelta(seconds=seconds)
        meter.observe(replace(job, state=to, update_time=moment), StateChange(to, before))
    assert [since("headstart_job_stage_seconds_sum", stage=stage) for stage in stages] == [30, 40]


EPOCH = EpochReport(1, 10, {"loss": 0.25}, {}, learning_rate=0.1, rows_per_second=50, compute_seconds=3)
PROGRESS: list[JobEvent] = [step_report(3), EPOCH]


@pytest.mark.parametrize("end", [State.SUCCEEDED, State.QUEUED, State.PAUSED])
def test_the_series_of_a_job_go_when_it_runs_no_more(end: State) -> None:
    meter, job = JobMeter(), job_record(state=State.TRAINING)
    for event in PROGRESS:
        meter.observe(job, event)
    assert value("headstart_job_loss", train_job=job.identifier) == 0.25
    assert value("headstart_job_epoch_seconds", train_job=job.identifier, activity="compute") == 3
    stopped = replace(job, state=end)
    meter.observe(stopped, StateChange(end, State.TRAINING))
    for event in PROGRESS:  # what the same batch of reports says
        meter.observe(stopped, event)
    samples = [sample for family in REGISTRY.collect() for sample in family.samples]
    assert not [sample for sample in samples if sample.labels.get("train_job") == job.identifier]


@pytest.mark.parametrize(("given", "counted"), [("OUT_OF_MEMORY", "OUT_OF_MEMORY"), ("made up", Reason.INTERNAL)])
def test_ends_are_counted_by_known_reasons(given: str, counted: str, since: Measured) -> None:
    since("headstart_jobs_ended_total", state="FAILED", reason=counted)
    event = StateChange(State.FAILED, State.TRAINING, JobFailure(given, "why"))
    JobMeter().observe(job_record(state=State.FAILED), event)
    assert since("headstart_jobs_ended_total", state="FAILED", reason=counted) == 1


def counts(store: JobStore) -> dict[str, float]:
    return {labels[0]: jobs for definition, labels, jobs in job_readings(store) if labels and jobs}


@pytest.mark.parametrize("state", [State.PAUSING, State.CANCELLING])
def test_what_is_asked_of_a_job_is_no_report_of_it(state: State) -> None:
    """It may be asked of another server than the one that runs the job, which never hears of its end."""
    job = replace(running(), state=state)
    JobMeter().observe(job, StateChange(state, before=State.TRAINING))
    assert (
        REGISTRY.get_sample_value("headstart_job_last_report_timestamp_seconds", {"train_job": job.identifier}) is None
    )


async def test_jobs_by_state_are_those_of_the_store_whatever_the_server_has_seen(start: Start, store: JobStore) -> None:
    store.create(job_record())
    store.cancel(store.create(job_record())[0].identifier)
    supervisor, _ = await start(succeeds(step(1)), says(failed("BAD_DATA")))
    await until(lambda: counts(store) == {"SUCCEEDED": 1, "CANCELLED": 1})
    identifier = await submitted(supervisor)
    assert (await ended(supervisor, store, identifier)).state is State.FAILED
    assert counts(store) == {"SUCCEEDED": 1, "CANCELLED": 1, "FAILED": 1}
    await supervisor.delete(identifier)
    assert counts(store) == {"SUCCEEDED": 1, "CANCELLED": 1}


def test_the_first_of_the_waiting_jobs_is_as_old_as_it_waits(store: JobStore, tmp_path: Path) -> None:
    def oldest() -> float:
        return next(
            seconds for definition, _, seconds in job_readings(store) if definition.name.endswith("oldest_seconds")
        )

    assert oldest() == 0
    job = job_record()
    store.create(job)
    again = JobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")  # by another server
    assert 0 <= oldest() < 600
    again.close()
    store.append(job.identifier, StateChange(State.PREPARING))
    assert oldest() == 0


async def test_attempts_restarts_and_deaths_are_counted(start: Start, store: JobStore, since: Measured) -> None:
    names = {
        "headstart_job_attempts_total": {},
        "headstart_job_restarts_total": {"cause": "server"},
        "headstart_worker_deaths_total": {"purpose": "job"},
    }
    for name, labels in names.items():
        since(name, **labels)
    job = created(store, "PREPARING")
    supervisor, _ = await start(*[says()] * 4)  # workers that die at once
    assert (await ended(supervisor, store, job.identifier)).state is State.FAILED
    assert [since(name, **labels) for name, labels in names.items()] == [4, 1, 4]
