"""TrainingService."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any

from headstart.v1 import training_pb2 as pb
from headstart.v1 import training_pb2_grpc

from headstart_server.core.errors import InvalidInputError, invalid, rest
from headstart_server.core.names import id_of
from headstart_server.core.principal import Principal
from headstart_server.core.reasons import Notice
from headstart_server.core.states import State
from headstart_server.data.parts import Part
from headstart_server.engines.events import EncodeReport
from headstart_server.jobs.records import LogEntry
from headstart_server.planning.passes import PlannedPass
from headstart_server.rpc.callers import caller_of
from headstart_server.rpc.changes import changes_of
from headstart_server.rpc.event_responses import EventResponses, max_events
from headstart_server.rpc.job_lists import list_events, list_jobs, view_of, watch_jobs
from headstart_server.rpc.job_orders import data_source, order_of, same_body
from headstart_server.rpc.jobs import (
    JOBS,
    add_history,
    encode_message,
    event_message,
    forget_job,
    heartbeat_message,
    job_message,
    queue_message,
    resolved_value,
)
from headstart_server.rpc.messages import spec_message
from headstart_server.rpc.remembered import Remembered
from headstart_server.rpc.streams import heartbeat_seconds
from headstart_server.rpc.suggestions import suggestion_message
from headstart_server.service.training import PlannedJob, TrainingService
from headstart_server.spec.sweep import MOST_SECONDS
from headstart_server.spec.yaml_writer import spec_text
from headstart_server.suggestion.measured import DEFAULT_SECONDS

_MAX_NAME = 128


class TrainingServicer(training_pb2_grpc.TrainingServiceServicer):
    """Parses, calls the use case, converts."""

    def __init__(self, training: TrainingService) -> None:
        self._training = training
        # made once for all who watch a job: they hear of an event at about the same time
        self._events: Remembered[tuple[str, LogEntry], pb.TrainJobEvent] = Remembered(
            lambda logged: event_message(*logged), most=1_000
        )
        self._responses = EventResponses()

    async def TrainJob(self, request: pb.TrainJobRequest, context: Any) -> AsyncIterator[pb.TrainJobResponse]:  # noqa: N802
        """Creates and follows."""
        caller, idle = caller_of(context), heartbeat_seconds(request.heartbeat_seconds)
        most = max_events(request.max_events)
        job = await self._training.create(caller, partial(order_of, request))
        async for events in self._follow(caller, job.identifier, 0, idle):
            for response in self._responses.of(events, most):
                yield pb.TrainJobResponse(event=response.event, more_events=response.more_events)

    async def CreateTrainJob(self, request: pb.CreateTrainJobRequest, context: Any) -> pb.TrainJob:  # noqa: N802
        """Creates."""
        order = partial(order_of, same_body(request))
        return job_message(await self._training.create(caller_of(context), order))

    async def WatchTrainJob(  # noqa: N802
        self, request: pb.WatchTrainJobRequest, context: Any
    ) -> AsyncIterator[pb.WatchTrainJobResponse]:
        """Replays and follows."""
        most = max_events(request.max_events)
        async for events in self.watched(request, context):
            for response in self._responses.of(events, most):
                yield response

    async def watched(self, request: pb.WatchTrainJobRequest, context: Any) -> AsyncIterator[list[pb.TrainJobEvent]]:
        """As WatchTrainJob, with all events that are there together."""
        if request.after_sequence < 0:
            raise invalid("after_sequence", f"{request.after_sequence} is negative; use 0 to replay all")
        identifier, idle = id_of(JOBS, request.name), heartbeat_seconds(request.heartbeat_seconds)
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
        caller, full = caller_of(context), view_of(request.view, pb.JOB_VIEW_FULL) == pb.JOB_VIEW_FULL
        job = await self._training.get(caller, id_of(JOBS, request.name))
        message = job_message(job, full=full)
        if full:
            add_history(message, await self._training.history(caller, job.identifier))
        if full and job.state is State.QUEUED and (queue := await self._training.queue(caller, job.identifier)):
            message.queue.CopyFrom(queue_message(queue))
        return message

    async def ListTrainJobs(self, request: pb.ListTrainJobsRequest, context: Any) -> pb.ListTrainJobsResponse:  # noqa: N802
        """Lists."""
        return await list_jobs(self._training, caller_of(context), request)

    async def ListTrainJobEvents(  # noqa: N802
        self, request: pb.ListTrainJobEventsRequest, context: Any
    ) -> pb.ListTrainJobEventsResponse:
        """Lists a job's log."""
        return await list_events(self._training, caller_of(context), request)

    async def WatchTrainJobs(  # noqa: N802
        self, request: pb.WatchTrainJobsRequest, context: Any
    ) -> AsyncIterator[pb.WatchTrainJobsResponse]:
        """Follows all jobs."""
        async with aclosing(watch_jobs(self._training, caller_of(context), request)) as updates:
            async for update in updates:
                yield update

    async def UpdateTrainJob(self, request: pb.UpdateTrainJobRequest, context: Any) -> pb.TrainJob:  # noqa: N802
        """Changes what people say of a job."""
        identifier = id_of(JOBS, request.train_job.name, "train_job.name")
        caller = caller_of(context)
        changes = partial(changes_of, request.train_job, request.update_mask, field="train_job", priority=True)
        return job_message(await self._training.update(caller, identifier, changes))

    async def CancelTrainJob(self, request: pb.CancelTrainJobRequest, context: Any) -> pb.TrainJob:  # noqa: N802
        """Cancels."""
        return job_message(await self._training.cancel(caller_of(context), id_of(JOBS, request.name)))

    async def DeleteTrainJob(self, request: pb.DeleteTrainJobRequest, context: Any) -> pb.DeleteTrainJobResponse:  # noqa: N802
        """Deletes."""
        identifier = id_of(JOBS, request.name)
        await self._training.delete(caller_of(context), identifier)
        forget_job(identifier)
        return pb.DeleteTrainJobResponse()

    async def PauseTrainJob(self, request: pb.PauseTrainJobRequest, context: Any) -> pb.TrainJob:  # noqa: N802
        """Pauses."""
        return job_message(await self._training.pause(caller_of(context), id_of(JOBS, request.name)))

    async def ResumeTrainJob(self, request: pb.ResumeTrainJobRequest, context: Any) -> pb.TrainJob:  # noqa: N802
        """Resumes."""
        return job_message(await self._training.resume(caller_of(context), id_of(JOBS, request.name)))

    async def PlanTrainJob(self, request: pb.PlanTrainJobRequest, context: Any) -> pb.PlanTrainJobResponse:  # noqa: N802
        """Resolves without training."""
        try:
            planned = await self._training.plan(caller_of(context), partial(order_of, same_body(request)))
        except InvalidInputError as error:
            return _refused(error)
        return _plan_message(planned)

    async def SuggestSpec(self, request: pb.SuggestSpecRequest, context: Any) -> pb.SuggestSpecResponse:  # noqa: N802
        """Suggests."""
        data = partial(data_source, request.dataset, "dataset")
        seconds = request.sweep_seconds if request.HasField("sweep_seconds") else DEFAULT_SECONDS
        if not 0 <= seconds <= MOST_SECONDS:
            raise invalid("sweep_seconds", f"{seconds:g} is not between 0 and {MOST_SECONDS:,}; 0 is for no sweep")
        found = await self._training.suggest(caller_of(context), data, list(request.targets), seconds)
        return suggestion_message(found)


def _refused(error: InvalidInputError) -> pb.PlanTrainJobResponse:
    """All that is wrong, of which the error of another call would carry the first."""
    found = [*error.everything, *([rest(error.left_out)] if error.left_out else [])]
    return pb.PlanTrainJobResponse(
        violations=[
            pb.FieldViolation(field=item.field, description=item.message, reason=error.reason) for item in found
        ]
    )


def _plan_message(planned: PlannedJob) -> pb.PlanTrainJobResponse:
    plan = planned.plan
    if plan is None:
        warnings = [pb.JobWarning(reason=Notice.SPELLING, message=note) for note in planned.spec.notes]
        return pb.PlanTrainJobResponse(warnings=warnings, spec_yaml=spec_text(planned.spec))
    return pb.PlanTrainJobResponse(
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
