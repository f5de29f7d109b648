"""TrainingService."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headstart.v1 import training_pb2 as pb
from headstart.v1 import training_pb2_grpc

from headstart_server.core.errors import StoppingError, UnimplementedError, invalid
from headstart_server.core.layout import Layout
from headstart_server.core.names import id_of, new_id
from headstart_server.core.states import State
from headstart_server.data.splits import Part
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.engines.events import EncodeReport
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.store import JobStore
from headstart_server.jobs.supervisor import Supervisor
from headstart_server.planning.preview import PlannedPass, preview
from headstart_server.rpc.admission import Admission, given_roles
from headstart_server.rpc.jobs import JOBS, encode_message, event_message, job_message, resolved_value
from headstart_server.rpc.messages import check_name, page_limit, page_start, page_token, spec_message
from headstart_server.spec.parse import paths_as_written
from headstart_server.spec.yaml_writer import spec_text

_MAX_NAME = 128


class TrainingServicer(training_pb2_grpc.TrainingServiceServicer):
    """Parses, calls the supervisor, converts."""

    def __init__(
        self, admission: Admission, supervisor: Supervisor, store: JobStore, embeddings: EmbeddingStore, layout: Layout
    ) -> None:
        self._admission, self._supervisor, self._store = admission, supervisor, store
        self._embeddings, self._layout = embeddings, layout

    async def TrainJob(self, request: pb.TrainJobRequest, context: Any) -> AsyncIterator[pb.TrainJobEvent]:  # noqa: N802
        """Creates and follows."""
        gone = asyncio.Event()
        try:
            job = await asyncio.shield(self._create(request, gone))
        except asyncio.CancelledError:
            gone.set()
            raise
        async for event in self._follow(job.identifier, 0):
            yield event

    async def WatchTrainJob(self, request: pb.WatchTrainJobRequest, context: Any) -> AsyncIterator[pb.TrainJobEvent]:  # noqa: N802
        """Replays and follows."""
        if request.after_sequence < 0:
            raise invalid("after_sequence", f"{request.after_sequence} is negative; use 0 to replay all")
        async for event in self._follow(id_of(JOBS, request.name), request.after_sequence):
            yield event

    async def GetTrainJob(self, request: pb.GetTrainJobRequest, context: Any) -> pb.TrainJob:  # noqa: N802
        """Reads."""
        return job_message(await asyncio.to_thread(self._store.get, id_of(JOBS, request.name)))

    async def ListTrainJobs(self, request: pb.ListTrainJobsRequest, context: Any) -> pb.ListTrainJobsResponse:  # noqa: N802
        """Lists."""
        limit = page_limit(request.page_size)
        unknown = [value for value in request.states if value not in pb.TrainJob.State.values()]
        if unknown:
            raise invalid("states", f"{unknown[0]} is no state; use the values of TrainJob.State")
        states = [State(pb.TrainJob.State.Name(value).removeprefix("STATE_")) for value in request.states if value]
        before = page_start(request.page_token)
        jobs = await asyncio.to_thread(self._store.newest, limit + 1, before, states, job_message)
        token = page_token(jobs[limit - 1].identifier) if len(jobs) > limit else ""
        return pb.ListTrainJobsResponse(train_jobs=map(job_message, jobs[:limit]), next_page_token=token)

    async def CancelTrainJob(self, request: pb.CancelTrainJobRequest, context: Any) -> pb.TrainJob:  # noqa: N802
        """Cancels."""
        return job_message(await self._supervisor.cancel(id_of(JOBS, request.name)))

    async def DeleteTrainJob(self, request: pb.DeleteTrainJobRequest, context: Any) -> pb.DeleteTrainJobResponse:  # noqa: N802
        """Deletes."""
        await self._supervisor.delete(id_of(JOBS, request.name))
        return pb.DeleteTrainJobResponse()

    async def PauseTrainJob(self, request: pb.PauseTrainJobRequest, context: Any) -> pb.TrainJob:  # noqa: N802
        """Not in this release."""
        raise UnimplementedError(
            "PauseTrainJob is not in this release; cancel the job, a new one starts from its stored embeddings"
        )

    async def ResumeTrainJob(self, request: pb.ResumeTrainJobRequest, context: Any) -> pb.TrainJob:  # noqa: N802
        """Not in this release."""
        raise UnimplementedError(
            "ResumeTrainJob is not in this release; start a new job, it uses the embeddings stored so far"
        )

    async def PlanTrainJob(self, request: pb.TrainJobRequest, context: Any) -> pb.TrainJobPlan:  # noqa: N802
        """Resolves without training."""
        return await asyncio.to_thread(self._plan, request)

    async def _follow(self, identifier: str, after: int) -> AsyncIterator[pb.TrainJobEvent]:
        async for event in self._supervisor.watch(identifier, after):
            yield event_message(identifier, event)
        if self._supervisor.interrupted:
            raise StoppingError("the server is stopping; watch the job again when it is back", retry_after=1)

    async def _create(self, request: pb.TrainJobRequest, gone: asyncio.Event) -> JobRecord:
        """The stored job of a request whose caller has not gone; what was written for any other is removed."""
        identifier = new_id()
        kept = False
        try:
            record = await asyncio.to_thread(self._admit, request, identifier)
            if gone.is_set():
                raise asyncio.CancelledError
            job, kept = await self._supervisor.submit(record)
        finally:
            if not kept and self._layout.job(identifier).exists():
                await asyncio.to_thread(self._admission.discard, identifier)
        return job

    def _admit(self, request: pb.TrainJobRequest, identifier: str) -> JobRecord:
        """The record of a new job; raises InvalidInputError for whatever cannot be trained."""
        for field in ("request_id", "display_name"):
            check_name(field, getattr(request, field), _MAX_NAME)
        spec, reading = self._admission.read(request)
        now = datetime.now(UTC)
        records = self._admission.files(request, self._layout.job(identifier))
        with paths_as_written(reading):
            self._admission.check(spec, records)
        return JobRecord(
            identifier=identifier,
            request_id=request.request_id,
            request_digest=_digest(request),
            display_name=request.display_name,
            state=State.QUEUED,
            create_time=now,
            update_time=now,
            spec=spec.compact(),
            sources=records,
        )

    def _plan(self, request: pb.TrainJobRequest) -> pb.TrainJobPlan:
        identifier = f"plan-{new_id()}"
        try:
            return self._planned(request, self._layout.job(identifier))
        finally:
            self._admission.discard(identifier)

    def _planned(self, request: pb.TrainJobRequest, folder: Path) -> pb.TrainJobPlan:
        spec, reading = self._admission.read(request)
        if not given_roles(request):
            warnings = [pb.JobWarning(reason="SPELLING", message=note) for note in spec.notes]
            return pb.TrainJobPlan(warnings=warnings, spec_yaml=spec_text(spec))
        records = self._admission.files(request, folder)
        admission = self._admission
        with paths_as_written(reading):
            looked = preview(
                spec, admission.tables(records), admission.sources, admission.device_type, admission.image_limits
            )
        return pb.TrainJobPlan(
            resolved_spec=spec_message(looked.resolution.spec().compact()),
            resolved_values=map(resolved_value, looked.resolution.resolved.values()),
            train_rows=looked.rows(Part.TRAIN),
            validation_rows=looked.rows(Part.VALIDATION),
            test_rows=looked.rows(Part.TEST),
            encode=[_planned_pass(item) for item in looked.passes(self._embeddings)],
            test_encode=[_planned_pass(item) for item in looked.test_passes(self._embeddings)],
            warnings=[pb.JobWarning(reason=reason, message=message) for reason, message in looked.notes],
            spec_yaml=spec_text(spec),
        )


def _planned_pass(item: PlannedPass) -> pb.EncodeProgress:
    """What the store has of a pass, before it runs."""
    return encode_message(EncodeReport.of(item.progress, item.name, item.space))


def _digest(request: pb.TrainJobRequest) -> str:
    """Identity of a request's body."""
    body = pb.TrainJobRequest()
    body.CopyFrom(request)
    body.request_id = ""
    return hashlib.sha256(body.SerializeToString(deterministic=True)).hexdigest()
