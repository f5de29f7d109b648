"""Moves the metrics that follow jobs, by what jobs report. How many there are, the job store knows."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from headstart_server import metrics
from headstart_server.core.reasons import Reason
from headstart_server.core.states import State
from headstart_server.engines.events import EncodeReport, JobEvent, StateChange
from headstart_server.jobs.records import JobRecord
from headstart_server.training.reports import EpochReport, StepReport

OUTCOMES = ("found", "repeated", "encoded", "shared")
_FREE = ("found", "repeated", "shared")
"""Rows that no encoder of the pass had to read."""


_ASKED = (State.PAUSING, State.CANCELLING)
"""States that callers bring about, on whichever server they ask."""


@dataclass
class _Pass:
    """What an embedding pass has reported so far."""

    last: EncodeReport
    unpriced: int = 0
    """Rows that were not encoded before anybody knew how long encoding takes."""


@dataclass
class _Job:
    """What is known of a job that has not ended."""

    entered: datetime | None = None
    """When it entered its state; None where that was under another server."""
    passes: dict[tuple[str, str, bool], _Pass] = field(default_factory=dict)


class JobMeter:
    """Follows the jobs of one server, on its event loop. What it knows of a job goes when the job ends."""

    def __init__(self) -> None:
        self._jobs: dict[str, _Job] = {}
        self._speeds: dict[str, float] = {}
        """Seconds per encoded row by embedding space."""
        _begin_at_zero()

    def learn_speeds(self, jobs: Iterable[JobRecord]) -> None:
        """Takes the speeds that jobs have measured, the newest job first."""
        for job in jobs:
            for report in job.encode.values():
                if report.encoded and report.seconds > 0:
                    self._speeds.setdefault(report.space, report.seconds / report.encoded)

    def queued(self, job: JobRecord) -> None:
        """A job waits that is new, or that waited already under an earlier server."""
        self._jobs[job.identifier] = _Job(job.update_time)

    def forget(self, identifier: str) -> None:
        """Another server has ended the job, if this one has not."""
        if self._jobs.pop(identifier, None) is not None:
            metrics.forget_job(identifier)

    def observe(self, job: JobRecord, event: JobEvent) -> None:
        """Counts an event; `job` is as it is after it."""
        # what a caller asks of a job is no report of it, and may have come to a server that does not run it
        if _runs(job) and not (isinstance(event, StateChange) and event.to in _ASKED):
            metrics.JOB_REPORTED.labels(job.identifier).set(job.update_time.timestamp())
        match event:
            case StateChange():
                self._enter(job, event)
            case StepReport():
                _show(job, event.loss, event)
            case EpochReport():
                _count_epoch(job, event)
            case EncodeReport():
                self._count_rows(job, event)

    def _enter(self, job: JobRecord, event: StateChange) -> None:
        known = self._jobs.setdefault(job.identifier, _Job())
        if event.before is not None and known.entered is not None:
            seconds = (job.update_time - known.entered).total_seconds()
            metrics.STAGE_SECONDS.labels(event.before).observe(max(0.0, seconds))
        known.entered = job.update_time
        if not _runs(job):
            known.passes.clear()
            metrics.forget_job(job.identifier)
        if event.to.terminal:
            del self._jobs[job.identifier]
            metrics.JOBS_ENDED.labels(event.to, _reason(event)).inc()

    def _count_rows(self, job: JobRecord, event: EncodeReport) -> None:
        """Adds what a pass did since its last report; counts of rows start again with each pass."""
        passes = self._jobs.setdefault(job.identifier, _Job()).passes
        key = (event.feature, event.space, event.test)
        known = passes.get(key)
        if known is None or any(getattr(event, name) < getattr(known.last, name) for name in OUTCOMES):
            known = _Pass(EncodeReport(event.total))
        before = known.last
        done = {name: getattr(event, name) - getattr(before, name) for name in OUTCOMES}
        for outcome, count in done.items():
            metrics.ROWS.labels(outcome).inc(count)
        waited, seconds = event.waited - before.waited, event.seconds - before.seconds
        metrics.PASS_SECONDS.labels("data_wait").inc(max(0.0, waited))
        metrics.PASS_SECONDS.labels("compute").inc(max(0.0, seconds - waited))
        unpriced = known.unpriced + sum(done[name] for name in _FREE)
        passes[key] = _Pass(event, self._unpriced(event, unpriced))
        if event.seen >= event.total:
            del passes[key]

    def _unpriced(self, event: EncodeReport, rows: int) -> int:
        """Counts the seconds that rows saved; returns those rows whose seconds nobody knows yet."""
        if event.encoded and event.seconds > 0:
            self._speeds[event.space] = event.seconds / event.encoded
        speed = self._speeds.get(event.space)
        if speed is None:
            return rows
        metrics.SECONDS_SAVED.inc(rows * speed)
        return 0


def _begin_at_zero() -> None:
    """Shows what has not happened yet, so that its first time is an increase."""
    for state in State:
        if not state.terminal:
            metrics.STAGE_SECONDS.labels(state)
    for state in (State.SUCCEEDED, State.CANCELLED):
        metrics.JOBS_ENDED.labels(state, "")
    for reason in Reason:
        metrics.JOBS_ENDED.labels(State.FAILED, reason)
    for cause in ("server", "worker", "memory", "hang", "storage"):
        metrics.JOB_RESTARTS.labels(cause)
    for outcome in OUTCOMES:
        metrics.ROWS.labels(outcome)
    for activity in metrics.ACTIVITIES:
        metrics.TRAINING_SECONDS.labels(activity)
        if activity != "evaluate":
            metrics.PASS_SECONDS.labels(activity)


def _count_epoch(job: JobRecord, event: EpochReport) -> None:
    metrics.EPOCHS.inc()
    seconds = (event.data_wait_seconds, event.compute_seconds, event.evaluate_seconds)
    for activity, duration in zip(metrics.ACTIVITIES, seconds, strict=True):
        metrics.TRAINING_SECONDS.labels(activity).inc(max(0.0, duration))
        if _runs(job):
            metrics.JOB_EPOCH_SECONDS.labels(job.identifier, activity).set(duration)
    _show(job, event.train.get("loss"), event)


def _show(job: JobRecord, loss: float | None, event: StepReport | EpochReport) -> None:
    if _runs(job):
        metrics.JOB_SPEED.labels(job.identifier).set(event.rows_per_second)
        metrics.JOB_LEARNING_RATE.labels(job.identifier).set(event.learning_rate)
        if loss is not None:
            metrics.JOB_LOSS.labels(job.identifier).set(loss)


def _runs(job: JobRecord) -> bool:
    """Whether it has series of its own: what the last batch of reports says must not bring them back."""
    return not job.state.terminal and job.state not in (State.QUEUED, State.PAUSED)


def _reason(event: StateChange) -> str:
    """Why a job failed, as one of the known words, so that no worker can make up series; empty where it did not."""
    if event.to is not State.FAILED:
        return ""
    reason = event.error.reason if event.error is not None else ""
    return reason if reason in Reason.__members__ else Reason.INTERNAL
