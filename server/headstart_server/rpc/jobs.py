"""Jobs and events as messages."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never

from google.protobuf.json_format import ParseDict
from headstart.v1 import training_pb2 as pb

from headstart_server.core.names import name_of
from headstart_server.core.states import State
from headstart_server.data.source import SourceRecord, lineage
from headstart_server.engines.events import (
    EncodeReport,
    ModelEvaluated,
    ModelPublished,
    SpecResolved,
    StateChange,
)
from headstart_server.engines.trials import TrialReport
from headstart_server.jobs.database import damage_named
from headstart_server.jobs.history import JobHistory
from headstart_server.jobs.records import JobRecord, LogEntry, QueuePosition
from headstart_server.planning.resolution import ResolvedValue
from headstart_server.rpc.evaluation import evaluation_message
from headstart_server.rpc.messages import spec_message, timestamp
from headstart_server.rpc.remembered import Remembered
from headstart_server.training.reports import EpochReport, JobWarning, PastEpoch, StepReport

JOBS, MODELS, SPACES, DATASETS = "trainJobs", "models", "embeddingSpaces", "datasets"
_ROLES = {
    "dataset": pb.JobDataset.ROLE_TRAIN,
    "validation_dataset": pb.JobDataset.ROLE_VALIDATION,
    "test_dataset": pb.JobDataset.ROLE_TEST,
}


def job_message(job: JobRecord, *, full: bool = True) -> pb.TrainJob:
    """A job, in JOB_VIEW_FULL but for what its log tells, or in JOB_VIEW_BASIC.

    Raises DataLossError for one whose record is damaged.
    """
    with damage_named(job.identifier):
        message = _basic_message(job)
        if full:
            message.spec.CopyFrom(_SPECS.of(job.identifier, job.spec))
            if job.resolved is not None:
                message.MergeFrom(_RESOLVED.of(job.identifier, job.resolved))
        return message


def _basic_message(job: JobRecord) -> pb.TrainJob:
    message = pb.TrainJob(
        name=name_of(JOBS, job.identifier),
        display_name=job.display_name,
        state=_state(job.state),
        create_time=timestamp(job.create_time),
        update_time=timestamp(job.update_time),
        start_time=timestamp(job.start_time),
        end_time=timestamp(job.end_time),
        model=name_of(MODELS, job.model) if job.model else "",
        last_sequence=job.last_sequence,
        request_id=job.request_id,
        description=job.description,
        labels=job.labels,
        creator=job.creator,
        attempt=job.attempt,
        priority=job.priority,
        deadline=timestamp(job.deadline),
        initial_model=name_of(MODELS, job.initial_model) if job.initial_model else "",
        datasets=datasets_of(job.sources, job.source_rows),
    )
    if job.ttl is not None:
        message.ttl.FromTimedelta(timedelta(seconds=job.ttl))
        if job.end_time is not None:
            message.expire_time.FromDatetime(job.end_time + timedelta(seconds=job.ttl))
    if job.best_epoch is not None:
        message.best_epoch.CopyFrom(epoch_message(job.best_epoch))
    if job.error is not None:
        message.error.CopyFrom(pb.JobError(**vars(job.error)))
    if job.encode:
        message.encode_progress.CopyFrom(_summed(list(job.encode.values())))
    if job.step is not None:
        message.step_progress.CopyFrom(step_message(job.step))
    _tell_progress(message)
    return message


def _tell_progress(message: pb.TrainJob) -> None:
    """Sets what part of its stage a job has done, and the time left, by what it reported last."""
    match message.state:
        case pb.TrainJob.STATE_ENCODING:
            report: pb.EncodeProgress | pb.StepProgress = message.encode_progress
            done, total = message.encode_progress.rows_seen, message.encode_progress.rows_total
        case pb.TrainJob.STATE_TRAINING:
            report = message.step_progress
            done, total = message.step_progress.step, message.step_progress.total_steps
        case _:
            return
    if total:
        message.progress = min(1.0, done / total)
    if report.HasField("eta_seconds"):
        message.eta_seconds = report.eta_seconds


def datasets_of(sources: Sequence[SourceRecord], rows: Mapping[str, int]) -> list[pb.JobDataset]:
    """The data sets of a job, with their rows as far as they are known."""
    return [dataset_message(**each) for each in lineage(sources, rows)]


def dataset_message(
    role: str, dataset: str, path: str, table_file: str, row_count: int | None, sha256: str
) -> pb.JobDataset:
    """A data set of a job, as `lineage` has it."""
    return pb.JobDataset(
        role=_ROLES[role],
        dataset=name_of(DATASETS, dataset) if dataset else "",
        path=path,
        table_file=table_file,
        row_count=row_count,
        sha256=sha256,
    )


def _with_resolved(resolved: SpecResolved) -> pb.TrainJob:
    """What a job says of its resolved spec."""
    return pb.TrainJob(resolved_spec=spec_message(resolved.spec), resolved_values=map(resolved_value, resolved.values))


_SPECS, _RESOLVED = Remembered(spec_message), Remembered(_with_resolved)


def forget_job(identifier: str) -> None:
    """Forgets what was made for a job that is deleted."""
    _SPECS.forget(identifier)
    _RESOLVED.forget(identifier)


def event_message(job: str, entry: LogEntry) -> pb.TrainJobEvent:
    """An entry of a job's log."""
    message = pb.TrainJobEvent(
        sequence=entry.sequence,
        time=timestamp(entry.time),
        job=name_of(JOBS, job),
        terminal=isinstance(entry.event, StateChange) and entry.event.to.terminal,
    )
    match entry.event:
        case StateChange() as event:
            message.state_change.CopyFrom(_state_change(event))
        case EncodeReport() as event:
            message.encode_progress.CopyFrom(encode_message(event))
        case StepReport() as event:
            message.step_progress.CopyFrom(step_message(event))
        case EpochReport() as event:
            message.epoch_finished.CopyFrom(epoch_message(event))
        case JobWarning() as event:
            message.warning.CopyFrom(pb.JobWarning(**vars(event)))
        case ModelEvaluated() as event:
            message.model_evaluated.CopyFrom(pb.ModelEvaluated(outputs=map(evaluation_message, event.outputs)))
        case ModelPublished() as event:
            published = pb.ModelPublished(
                model=name_of(MODELS, event.model), best_epoch=epoch_message(event.best_epoch)
            )
            message.model_published.CopyFrom(published)
        case TrialReport() as event:
            message.trial_finished.CopyFrom(pb.TrialFinished(trial=trial_message(event), trials=event.trials))
        case SpecResolved() as event:
            message.spec_resolved.CopyFrom(_resolved(event))
        case PastEpoch():
            raise TypeError("past epochs are logged as epochs")
        case _:
            assert_never(entry.event)
    return message


def add_history(message: pb.TrainJob, history: JobHistory) -> None:
    """Adds what a job's log tells."""
    message.warnings.extend(pb.JobWarning(**vars(warning)) for warning in history.warnings)
    message.epochs.extend(map(epoch_message, history.epochs))
    for epoch in message.epochs:
        epoch.ClearField("workers")
    message.evaluation.extend(map(evaluation_message, history.evaluation))
    for each in history.trials:
        trial = trial_message(each.report)
        trial.pareto, trial.best = each.pareto, each.best
        message.trials.append(trial)


def trial_message(report: TrialReport) -> pb.Trial:
    """One trial of a sweep, whose place among the others is not known yet."""
    values = {key: value for key, value in vars(report).items() if key not in ("trials", "share", "parameters")}
    message = pb.Trial(**values)
    for path, value in report.parameters.items():
        ParseDict(value, message.parameters[path])
    return message


def queue_message(queue: QueuePosition) -> pb.QueuePosition:
    """Where a job waits."""
    return pb.QueuePosition(jobs_before=queue.jobs_before, reason=queue.reason)


def heartbeat_message(job: str, sequence: int, queue: QueuePosition | None) -> pb.TrainJobEvent:
    """That nothing has happened since an event."""
    beat = pb.Heartbeat(queue=queue_message(queue) if queue is not None else None)
    now = timestamp(datetime.now(UTC))
    return pb.TrainJobEvent(sequence=sequence, time=now, job=name_of(JOBS, job), heartbeat=beat)


def encode_message(report: EncodeReport) -> pb.EncodeProgress:
    """Progress of an embedding pass."""
    return pb.EncodeProgress(
        feature=report.feature,
        rows_total=report.total,
        rows_seen=report.seen,
        rows_found=report.found,
        rows_repeated=report.repeated,
        rows_encoded=report.encoded,
        rows_shared=report.shared,
        rows_per_second=report.rows_per_second or None,
        eta_seconds=report.eta_seconds if report.rows_per_second else None,
        embedding_space=name_of(SPACES, report.space) if report.space else "",
        data_wait_seconds=report.waited,
        compute_seconds=report.seconds - report.waited,
        workers=map(_worker, report.workers),
        test_rows_again=report.test,
    )


def resolved_value(value: ResolvedValue) -> pb.ResolvedValue:
    """One resolved value."""
    message = pb.ResolvedValue(path=value.path, origin=f"ORIGIN_{value.origin.upper()}", reason=value.reason)
    ParseDict(value.value, message.value)
    return message


def _worker(report: Mapping[str, Any]) -> pb.WorkerMetrics:
    return pb.WorkerMetrics(**{**report, "rows_per_second": report.get("rows_per_second") or None})


def step_message(report: StepReport) -> pb.StepProgress:
    """Progress of the training."""
    known = report.rows_per_second > 0
    return pb.StepProgress(
        **{
            **vars(report),
            "rows_per_second": report.rows_per_second if known else None,
            "eta_seconds": report.eta_seconds if known else None,
        }
    )


def epoch_message(report: EpochReport) -> pb.EpochMetrics:
    """Metrics of an evaluation."""
    workers = map(_worker, report.workers)
    return pb.EpochMetrics(**{**vars(report), "workers": workers, "rows_per_second": report.rows_per_second or None})


def _state(state: State | None) -> Any:
    """The enum value of a state; UNSPECIFIED for none."""
    return pb.TrainJob.State.Value(f"STATE_{state or 'UNSPECIFIED'}")


def _state_change(event: StateChange) -> pb.StateChange:
    change = pb.StateChange(previous_state=_state(event.before), state=_state(event.to))
    if event.error is not None:
        change.error.CopyFrom(pb.JobError(**vars(event.error)))
    return change


def _resolved(event: SpecResolved) -> pb.SpecResolved:
    rows = event.rows
    return pb.SpecResolved(
        values=map(resolved_value, event.values),
        train_rows=rows.train,
        validation_rows=rows.validation,
        test_rows=rows.test,
    )


def _summed(passes: list[EncodeReport]) -> pb.EncodeProgress:
    """Every feature together, its speed that of all passes; feature, space and workers only where there is one pass."""
    if len(passes) == 1:
        return encode_message(passes[0])
    counted = ("total", "seen", "found", "repeated", "encoded", "shared", "seconds", "waited")
    sums = {name: sum(getattr(item, name) for item in passes) for name in counted}
    return encode_message(replace(passes[0], **sums, feature="", space="", workers=()))
