"""Jobs and events as messages."""

import json
from typing import Any

from headstart.v1 import training_pb2 as pb

from headstart_server.core.names import name_of
from headstart_server.jobs.database import damage_named
from headstart_server.jobs.records import Event, JobRecord
from headstart_server.rpc.messages import spec_message, timestamp

JOBS, MODELS, SPACES = "trainJobs", "models", "embeddingSpaces"


def job_message(job: JobRecord) -> pb.TrainJob:
    """A job; raises DataLossError for one whose record is damaged."""
    with damage_named(job.identifier):
        return _job_message(job)


def _job_message(job: JobRecord) -> pb.TrainJob:
    message = pb.TrainJob(
        name=name_of(JOBS, job.identifier),
        display_name=job.display_name,
        state=state_value(job.state),
        create_time=timestamp(job.create_time),
        update_time=timestamp(job.update_time),
        start_time=timestamp(job.start_time),
        end_time=timestamp(job.end_time),
        spec=spec_message(job.spec),
        resolved_values=[resolved_value(value) for value in job.resolved.get("values", [])],
        model=name_of(MODELS, job.model) if job.model else "",
        last_sequence=job.last_sequence,
        request_id=job.request_id,
    )
    if job.resolved:
        message.resolved_spec.CopyFrom(spec_message(job.resolved["spec"]))
    if job.best_epoch:
        message.best_epoch.CopyFrom(epoch_message(job.best_epoch))
    if job.error:
        message.error.CopyFrom(pb.JobError(**job.error))
    if job.encode:
        message.encode_progress.CopyFrom(_summed(list(job.encode.values())))
    return message


def event_message(job: str, event: Event) -> pb.TrainJobEvent:
    """An entry of a job's log; raises DataLossError for one that is damaged."""
    with damage_named(job):
        return _event_message(job, event)


def _event_message(job: str, event: Event) -> pb.TrainJobEvent:
    message = pb.TrainJobEvent(sequence=event.sequence, time=timestamp(event.time), job=name_of(JOBS, job))
    data = event.data
    match event.kind:
        case "state":
            message.state_change.CopyFrom(_state_change(data))
        case "encode":
            message.encode_progress.CopyFrom(encode_message(data))
        case "step":
            message.step_progress.CopyFrom(pb.StepProgress(**data))
        case "epoch":
            message.epoch_finished.CopyFrom(epoch_message(data))
        case "warning":
            message.warning.CopyFrom(pb.JobWarning(**data))
        case "model":
            published = pb.ModelPublished(
                model=name_of(MODELS, data["model"]), best_epoch=epoch_message(data["best_epoch"])
            )
            message.model_published.CopyFrom(published)
        case "resolved":
            message.spec_resolved.CopyFrom(_resolved(data))
    return message


def state_value(state: str) -> Any:
    """The enum value of a state; UNSPECIFIED for none."""
    return pb.TrainJob.State.Value(f"STATE_{state or 'UNSPECIFIED'}")


def epoch_message(data: dict[str, Any]) -> pb.EpochMetrics:
    """Metrics of an epoch."""
    return pb.EpochMetrics(**data)


def encode_message(data: dict[str, Any]) -> pb.EncodeProgress:
    """Progress of an embedding pass."""
    return pb.EncodeProgress(
        feature=data["feature"],
        rows_total=data["total"],
        rows_seen=data["seen"],
        rows_found=data["found"],
        rows_repeated=data["repeated"],
        rows_encoded=data["encoded"],
        rows_shared=data["shared"],
        rows_per_second=data["rows_per_second"],
        eta_seconds=data["eta_seconds"],
        embedding_space=name_of(SPACES, data["space"]),
        data_wait_seconds=data.get("waited", 0.0),
        compute_seconds=data.get("seconds", 0.0) - data.get("waited", 0.0),
        workers=[pb.WorkerMetrics(**worker) for worker in data.get("workers", ())],
        test_rows_again=data.get("test", False),
    )


def resolved_value(value: dict[str, Any]) -> pb.ResolvedValue:
    """One resolved value."""
    return pb.ResolvedValue(
        path=value["path"],
        value_json=json.dumps(value["value"]),
        origin=f"ORIGIN_{value['origin'].upper()}",
        reason=value["reason"],
    )


def _state_change(data: dict[str, Any]) -> pb.StateChange:
    change = pb.StateChange(to=state_value(data["to"]))
    setattr(change, "from", state_value(data["from"]))
    if data.get("error"):
        change.error.CopyFrom(pb.JobError(**data["error"]))
    return change


def _resolved(data: dict[str, Any]) -> pb.SpecResolved:
    rows = data["rows"]
    return pb.SpecResolved(
        values=[resolved_value(value) for value in data["values"]],
        train_rows=rows["train"],
        validation_rows=rows["validation"],
        test_rows=rows["test"],
    )


def _summed(passes: list[dict[str, Any]]) -> pb.EncodeProgress:
    """Counts of every feature together; feature, space and speed only where there is one pass."""
    counted = ("total", "seen", "found", "repeated", "encoded", "shared")
    if len(passes) == 1:
        return encode_message(passes[0])
    sums = {name: sum(item[name] for item in passes) for name in counted}
    message = encode_message({**passes[0], **sums, "feature": ""})
    message.embedding_space = ""
    return message
