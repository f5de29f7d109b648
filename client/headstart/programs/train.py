"""Start a job and follow it, look at its end, or plan it."""

from __future__ import annotations

import uuid

from headstart.errors import InvalidArgument, JobCancelled, JobFailed, Violation
from headstart.programs.dataset_source import TrainingData, training_request
from headstart.programs.follow import Position, follow
from headstart.programs.retry import RetryPolicy, persistently
from headstart.programs.upload import Progress
from headstart.sinks.recorder import Recorder
from headstart.v1.training_pb2 import (
    GetTrainJobRequest,
    PlanTrainJobRequest,
    PlanTrainJobResponse,
    TrainJob,
    TrainJobEvent,
)
from headstart.values.details import JobDetails
from headstart.values.spec import Spec
from headstart.wire.methods import GET_JOB, PLAN_JOB
from headstart.wire.steps import Flow, Program, call, compute


def train(
    spec: Spec,
    data: TrainingData,
    policy: RetryPolicy,
    *,
    request_id: str | None = None,
    display_name: str | None = None,
    details: JobDetails | None = None,
    progress: Progress | None = None,
    recorder: Recorder | None = None,
    initial_model: str = "",
) -> Flow[TrainJobEvent]:
    """Upload, create the job, emit its events. Without a request id one is made, so that creation is safe to repeat.

    Nothing is uploaded where the events could not be recorded.
    """
    recorder = recorder or Recorder()
    yield from compute(recorder.check)
    request = yield from training_request(
        spec,
        data,
        policy,
        request_id=request_id or uuid.uuid4().hex,
        display_name=display_name,
        details=details,
        progress=progress,
        initial_model=initial_model,
    )
    yield from follow(Position(request=request), policy, recorder)


def job_now(name: str, policy: RetryPolicy) -> Program[TrainJob]:
    """Return a job as it is, over dropped connections."""
    return (yield from persistently(lambda _: call(GET_JOB, GetTrainJobRequest(name=name)), policy))


def refuse_bad_end(job: TrainJob) -> TrainJob:
    """Return a job that SUCCEEDED (or has not ended).

    Raises:
        JobFailed, JobCancelled: it ended otherwise.
    """
    if job.state == TrainJob.STATE_FAILED:
        raise JobFailed(job)
    if job.state == TrainJob.STATE_CANCELLED:
        raise JobCancelled(job)
    return job


def plan(
    spec: Spec,
    data: TrainingData,
    policy: RetryPolicy,
    progress: Progress | None = None,
    *,
    initial_model: str = "",
) -> Program[PlanTrainJobResponse]:
    """Resolve a spec against its data without training; without data it is only read."""
    request = yield from training_request(spec, data, policy, progress=progress, initial_model=initial_model)
    planned = yield from call(PLAN_JOB, PlanTrainJobRequest.FromString(request.SerializeToString()))
    if planned.violations:
        raise _all_that_is_wrong(planned)
    return planned


def _all_that_is_wrong(planned: PlanTrainJobResponse) -> InvalidArgument:
    violations = [Violation(item.field, item.description) for item in planned.violations]
    return InvalidArgument(
        "; ".join(f"{item.field}: {item.description}" if item.field else item.description for item in violations),
        reason=planned.violations[0].reason,
        violations=violations,
    )
