"""Jobs and events as messages."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, assert_never

from headstart.v1 import training_pb2 as pb

from headstart_server.core.names import name_of
from headstart_server.core.states import State
from headstart_server.engines.events import (
    EncodeReport,
    ModelEvaluated,
    ModelPublished,
    SpecResolved,
    StateChange,
)
from headstart_server.jobs.database import damage_named
from headstart_server.jobs.records import JobRecord, LogEntry, QueuePosition
from headstart_server.planning.resolution import ResolvedValue
from headstart_server.rpc.evaluation import evaluation_message
from headstart_server.rpc.messages import spec_message, timestamp
from headstart_server.rpc.remembered import Remembered
from headstart_server.training.reports import EpochReport, JobWarning, PastEpoch, StepReport

JOBS, MODELS, SPACES = "trainJobs", "models", "embeddingSpaces"


def job_message(job: JobRecord) -> pb.TrainJob:
    """A job; raises DataLossError for one whose record is damaged."""
    with damage_named(job.identifier):
        return _job_message(job)


def _job_message(job: JobRecord) -> pb.TrainJob:
    message = pb.TrainJob(
        name=name_of(JOBS, job.identifier),
        display_name=job.display_name,
        state=_state(job.state),
        create_time=timestamp(job.create_time),
        update_time=timestamp(job.update_time),
        start_time=timestamp(job.start_time),
        end_time=timestamp(job.end_time),
        spec=_SPECS.of(job.identifier, job.spec),
        model=name_of(MODELS, job.model) if job.model else "",
        last_sequence=job.last_sequence,
        request_id=job.request_id,
    )
    if job.resolved is not None:
        message.MergeFrom(_RESOLVED.of(job.identifier, job.resolved))
    if job.best_epoch is not None:
        message.best_epoch.CopyFrom(epoch_message(job.best_epoch))
    if job.error is not None:
        message.error.CopyFrom(pb.JobError(**vars(job.error)))
    if job.encode:
        message.encode_progress.CopyFrom(_summed(list(job.encode.values())))
    return message


def _with_resolved(resolved: SpecResolved) -> pb.TrainJob:
    """What a job says of its resolved spec."""
    return pb.TrainJob(resolved_spec=spec_message(resolved.spec), resolved_values=map(resolved_value, resolved.values))


_SPECS, _RESOLVED = Remembered(spec_message), Remembered(_with_resolved)


def event_message(job: str, entry: LogEntry) -> pb.TrainJobEvent:
    """An entry of a job's log."""
    message = pb.TrainJobEvent(sequence=entry.sequence, time=timestamp(entry.time), job=name_of(JOBS, job))
    match entry.event:
        case StateChange() as event:
            message.state_change.CopyFrom(_state_change(event))
        case EncodeReport() as event:
            message.encode_progress.CopyFrom(encode_message(event))
        case StepReport() as event:
            message.step_progress.CopyFrom(pb.StepProgress(**vars(event)))
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
        case SpecResolved() as event:
            message.spec_resolved.CopyFrom(_resolved(event))
        case PastEpoch():
            raise TypeError("past epochs are logged as epochs")
        case _:
            assert_never(entry.event)
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
        rows_per_second=report.rows_per_second,
        eta_seconds=report.eta_seconds,
        embedding_space=name_of(SPACES, report.space) if report.space else "",
        data_wait_seconds=report.waited,
        compute_seconds=report.seconds - report.waited,
        workers=map(_worker, report.workers),
        test_rows_again=report.test,
    )


def resolved_value(value: ResolvedValue) -> pb.ResolvedValue:
    """One resolved value."""
    return pb.ResolvedValue(
        path=value.path,
        value_json=json.dumps(value.value),
        origin=f"ORIGIN_{value.origin.upper()}",
        reason=value.reason,
    )


def _worker(report: Mapping[str, Any]) -> pb.WorkerMetrics:
    return pb.WorkerMetrics(**report)


def epoch_message(report: EpochReport) -> pb.EpochMetrics:
    """Metrics of an evaluation."""
    return pb.EpochMetrics(**vars(report))


def _state(state: State | None) -> Any:
    """The enum value of a state; UNSPECIFIED for none."""
    return pb.TrainJob.State.Value(f"STATE_{state or 'UNSPECIFIED'}")


def _state_change(event: StateChange) -> pb.StateChange:
    change = pb.StateChange(to=_state(event.to))
    # `from` is a keyword of Python, which no attribute can be written as
    setattr(change, "from", _state(event.before))
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
