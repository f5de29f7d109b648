"""TrainingService."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Any

from headstart.v1 import training_pb2 as pb
from headstart.v1 import training_pb2_grpc

from headstart_server.core.errors import invalid
from headstart_server.core.names import id_of
from headstart_server.core.principal import Principal
from headstart_server.core.reasons import Notice
from headstart_server.core.states import State
from headstart_server.data.parts import Part
from headstart_server.engines.events import EncodeReport
from headstart_server.jobs.records import LogEntry
from headstart_server.planning.passes import PlannedPass
from headstart_server.rpc.callers import caller_of
from headstart_server.rpc.jobs import (
    JOBS,
    encode_message,
    event_message,
    heartbeat_message,
    job_message,
    queue_message,
    resolved_value,
)
from headstart_server.rpc.messages import check_name, page_limit, page_start, page_token, spec_message, spec_values
from headstart_server.rpc.remembered import Remembered
from headstart_server.rpc.tables import arrow_table
from headstart_server.service.admission import ROLES, DataPath, DataSource, InlineData, TrainOrder, UploadedData
from headstart_server.service.training import PlannedJob, TrainingService
from headstart_server.spec.ludwig.rewriting import Reading
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.parse import parse_values, read_spec
from headstart_server.spec.yaml_writer import spec_text

_MAX_NAME = 128


class TrainingServicer(training_pb2_grpc.TrainingServiceServicer):
    """Parses, calls the use case, converts."""

    def __init__(self, training: TrainingService) -> None:
        self._training = training
        # made once for all who watch a job: they hear of an event at about the same time
        self._events: Remembered[tuple[str, LogEntry], pb.TrainJobEvent] = Remembered(
            lambda logged: event_message(*logged), most=1_000
        )

    async def TrainJob(self, request: pb.TrainJobRequest, context: Any) -> AsyncIterator[pb.TrainJobEvent]:  # noqa: N802
        """Creates and follows."""
        caller, idle = caller_of(context), _heartbeat_seconds(request.heartbeat_seconds)
        job = await self._training.create(caller, partial(_order, request))
        async for events in self._follow(caller, job.identifier, 0, idle):
            for event in events:
                yield event

    async def WatchTrainJob(self, request: pb.WatchTrainJobRequest, context: Any) -> AsyncIterator[pb.TrainJobEvent]:  # noqa: N802
        """Replays and follows."""
        async for events in self.watched(request, context):
            for event in events:
                yield event

    async def watched(self, request: pb.WatchTrainJobRequest, context: Any) -> AsyncIterator[list[pb.TrainJobEvent]]:
        """As WatchTrainJob, with the events that are there together."""
        if request.after_sequence < 0:
            raise invalid("after_sequence", f"{request.after_sequence} is negative; use 0 to replay all")
        identifier, idle = id_of(JOBS, request.name), _heartbeat_seconds(request.heartbeat_seconds)
        async for events in self._follow(caller_of(context), identifier, request.after_sequence, idle):
            yield events

    async def _follow(
        self, caller: Principal, identifier: str, after: int, idle: float
    ) -> AsyncGenerator[list[pb.TrainJobEvent], None]:
        async for entries in self._training.follow(caller, identifier, after, idle):
            if entries:
                after = entries[-1].sequence
                yield [self._events.of(f"{identifier}/{entry.sequence}", (identifier, entry)) for entry in entries]
            else:
                yield [heartbeat_message(identifier, after, await self._training.queue(caller, identifier))]

    async def GetTrainJob(self, request: pb.GetTrainJobRequest, context: Any) -> pb.TrainJob:  # noqa: N802
        """Reads."""
        caller = caller_of(context)
        job = await self._training.get(caller, id_of(JOBS, request.name))
        message = job_message(job)
        if job.state is State.QUEUED and (queue := await self._training.queue(caller, job.identifier)):
            message.queue.CopyFrom(queue_message(queue))
        return message

    async def ListTrainJobs(self, request: pb.ListTrainJobsRequest, context: Any) -> pb.ListTrainJobsResponse:  # noqa: N802
        """Lists."""
        limit = page_limit(request.page_size)
        unknown = [value for value in request.states if value not in pb.TrainJob.State.values()]
        if unknown:
            raise invalid("states", f"{unknown[0]} is no state; use the values of TrainJob.State")
        if request.view not in pb.JobView.values():
            raise invalid("view", f"{request.view} is no view; use the values of JobView")
        states = [State(pb.TrainJob.State.Name(value).removeprefix("STATE_")) for value in request.states if value]
        before = page_start(request.page_token)
        # one more than a page, which tells whether there is another
        full = request.view == pb.JOB_VIEW_FULL
        jobs = await self._training.newest(caller_of(context), limit + 1, before, states, job_message, resolved=full)
        token = page_token(jobs[limit - 1].identifier) if len(jobs) > limit else ""
        return pb.ListTrainJobsResponse(train_jobs=map(job_message, jobs[:limit]), next_page_token=token)

    async def CancelTrainJob(self, request: pb.CancelTrainJobRequest, context: Any) -> pb.TrainJob:  # noqa: N802
        """Cancels."""
        return job_message(await self._training.cancel(caller_of(context), id_of(JOBS, request.name)))

    async def DeleteTrainJob(self, request: pb.DeleteTrainJobRequest, context: Any) -> pb.DeleteTrainJobResponse:  # noqa: N802
        """Deletes."""
        await self._training.delete(caller_of(context), id_of(JOBS, request.name))
        return pb.DeleteTrainJobResponse()

    async def PauseTrainJob(self, request: pb.PauseTrainJobRequest, context: Any) -> pb.TrainJob:  # noqa: N802
        """Pauses."""
        return job_message(await self._training.pause(caller_of(context), id_of(JOBS, request.name)))

    async def ResumeTrainJob(self, request: pb.ResumeTrainJobRequest, context: Any) -> pb.TrainJob:  # noqa: N802
        """Resumes."""
        return job_message(await self._training.resume(caller_of(context), id_of(JOBS, request.name)))

    async def PlanTrainJob(self, request: pb.TrainJobRequest, context: Any) -> pb.TrainJobPlan:  # noqa: N802
        """Resolves without training."""
        return _plan_message(await self._training.plan(caller_of(context), partial(_order, request)))


def _order(request: pb.TrainJobRequest) -> TrainOrder:
    """What a request asks for; raises InvalidInputError."""
    for field in ("request_id", "display_name"):
        check_name(field, getattr(request, field), _MAX_NAME)
    spec, reading = _spec(request)
    roles = [role for role in ROLES if request.HasField(role)]
    return TrainOrder(
        request_id=request.request_id,
        digest=_digest(request),
        display_name=request.display_name,
        spec=spec,
        reading=reading,
        data={role: _data(getattr(request, role), role) for role in roles},
    )


def _spec(request: pb.TrainJobRequest) -> tuple[TrainSpec, Reading]:
    """The parsed spec, and how it was read."""
    match request.WhichOneof("spec_source"):
        case "spec":
            return parse_values(spec_values(request.spec)), Reading()
        case "spec_yaml":
            return read_spec(request.spec_yaml)
        case _:
            raise invalid("spec", "is missing; set spec or spec_yaml")


def _data(source: pb.DatasetSource, role: str) -> DataSource:
    match source.WhichOneof("source"):
        case "dataset":
            return UploadedData(id_of("datasets", source.dataset, f"{role}.dataset"), source.table_file)
        case "path":
            return DataPath(source.path, source.table_file)
        case "table":
            return InlineData(partial(arrow_table, source.table, f"{role}.table"), source.table_file)
        case _:
            raise invalid(role, "is empty; set dataset, path or table")


def _heartbeat_seconds(given: float) -> float:
    """How long a stream may be silent; raises InvalidInputError."""
    if given and not 1 <= given < float("inf"):
        raise invalid("heartbeat_seconds", f"{given:g} is too short or no time; use 1 second or more, or 0 for none")
    return given


def _digest(request: pb.TrainJobRequest) -> str:
    """Identity of a request's body."""
    body = pb.TrainJobRequest()
    body.CopyFrom(request)
    body.request_id = ""
    body.heartbeat_seconds = 0.0
    # maps in one order; the bytes may still change with protobuf's release, and a repeated request is refused then
    # (https://protobuf.dev/programming-guides/serialization-not-canonical/)
    return hashlib.sha256(body.SerializeToString(deterministic=True)).hexdigest()


def _plan_message(planned: PlannedJob) -> pb.TrainJobPlan:
    plan = planned.plan
    if plan is None:
        warnings = [pb.JobWarning(reason=Notice.SPELLING, message=note) for note in planned.spec.notes]
        return pb.TrainJobPlan(warnings=warnings, spec_yaml=spec_text(planned.spec))
    return pb.TrainJobPlan(
        resolved_spec=spec_message(plan.resolution.spec().compact()),
        resolved_values=map(resolved_value, plan.resolution.resolved.values()),
        train_rows=plan.rows(Part.TRAIN),
        validation_rows=plan.rows(Part.VALIDATION),
        test_rows=plan.rows(Part.TEST),
        encode=map(_pass_message, planned.passes),
        test_encode=map(_pass_message, planned.test_passes),
        warnings=[pb.JobWarning(reason=reason, message=message) for reason, message in plan.notes],
        spec_yaml=spec_text(planned.spec),
    )


def _pass_message(item: PlannedPass) -> pb.EncodeProgress:
    """What the store has of a pass, before it runs."""
    return encode_message(EncodeReport.of(item.progress, item.name, item.space))
