"""A training service that plays a script, so that tests decide when streams drop and how jobs end."""

# ruff: noqa: N802  (methods are named as in the protos)

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from itertools import islice

import grpc
from google.protobuf.struct_pb2 import Value
from headstart.v1 import training_pb2 as pb
from headstart.v1.spec_pb2 import TrainSpec
from headstart.v1.training_pb2_grpc import TrainingServiceServicer

from tests.support.refusals import DROP, Refusal, not_found

State = pb.TrainJob.State


def script_of(*steps: pb.TrainJobEvent, end: State = pb.TrainJob.STATE_SUCCEEDED) -> list[pb.TrainJobEvent]:
    """Number the steps of a job, between its creation and its end."""
    first = pb.TrainJobEvent(state_change=pb.StateChange(state=pb.TrainJob.STATE_QUEUED))
    last = pb.TrainJobEvent(state_change=pb.StateChange(state=end))
    if end == pb.TrainJob.STATE_FAILED:
        last.state_change.error.CopyFrom(pb.JobError(reason="OUT_OF_MEMORY", message="use a smaller batch_size"))
    events = [first, *steps, last]
    for number, event in enumerate(events, start=1):
        event.sequence = number
    last.terminal = True
    return events


def losses(*values: float) -> list[pb.TrainJobEvent]:
    """Step progress with these losses."""
    return [
        pb.TrainJobEvent(step_progress=pb.StepProgress(epoch=1, step=step, total_steps=len(values), loss=loss))
        for step, loss in enumerate(values, start=1)
    ]


class FakeTraining(TrainingServiceServicer):
    """Plays `script` for every job. Each opened stream takes one entry of `breaks`: after how many events it drops.

    After `hold_after` events a stream says no more, as while an encoder is at work. Jobs also have what is `described`.
    As many events as `together` come in one response, where the request allows that.
    """

    def __init__(self) -> None:
        self.script = script_of(*losses(0.9, 0.5, 0.3))
        self.breaks: deque[int | None] = deque()
        self.drop: Refusal = DROP
        self.hold_after: int | None = None
        self.read_drops = 0
        self.overlap = 0
        self.together = 1
        self.refusal: Refusal | None = None
        self.requests: list[pb.TrainJobRequest | pb.PlanTrainJobRequest] = []
        self.watches: list[pb.WatchTrainJobRequest] = []
        self.suggestions: list[pb.SuggestSpecRequest] = []
        self.cancelled: list[str] = []
        self.deleted: list[str] = []
        self.jobs: dict[str, pb.TrainJob] = {}
        self.described = pb.TrainJob()

    def job(self, name: str) -> pb.TrainJob:
        """Return the job as it is after its last event."""
        end = self.script[-1].state_change
        job = pb.TrainJob(name=name, state=end.state, last_sequence=self.script[-1].sequence, error=end.error)
        job.encode_progress.rows_found = 7
        job.MergeFrom(self.described)
        if end.state == pb.TrainJob.STATE_SUCCEEDED:
            job.model = "models/m1"
        return job

    def _play(self, name: str, after: int, context: grpc.ServicerContext) -> Iterator[pb.TrainJobEvent]:
        limit = self.breaks.popleft() if self.breaks else None
        for sent, event in enumerate(self.script[after:]):
            if sent == limit:
                self.drop.abort(context)
            while sent == self.hold_after and context.is_active():
                time.sleep(0.01)
            yield _of(event, name)
        if limit is not None and limit >= len(self.script[after:]):
            self.drop.abort(context)

    def _together(self, events: Iterator[pb.TrainJobEvent], most: int) -> Iterator[list[pb.TrainJobEvent]]:
        while group := list(islice(events, min(self.together, max(most, 1)))):
            yield group

    def TrainJob(self, request: pb.TrainJobRequest, context: grpc.ServicerContext) -> Iterator[pb.TrainJobResponse]:
        """Create a job, or find the one with this request id."""
        self.requests.append(request)
        if self.refusal is not None:
            self.refusal.abort(context)
        name = f"trainJobs/{request.request_id}"
        self.jobs[name] = self.job(name)
        for events in self._together(self._play(name, 0, context), request.max_events):
            yield pb.TrainJobResponse(event=events[0], more_events=events[1:])

    def WatchTrainJob(
        self, request: pb.WatchTrainJobRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchTrainJobResponse]:
        """Replay the script after an event."""
        self.watches.append(request)
        if request.name.endswith("/none"):
            not_found(request.name).abort(context)
        played = self._play(request.name, max(request.after_sequence - self.overlap, 0), context)
        for events in self._together(played, request.max_events):
            yield pb.WatchTrainJobResponse(event=events[0], more_events=events[1:])

    def GetTrainJob(self, request: pb.GetTrainJobRequest, context: grpc.ServicerContext) -> pb.TrainJob:
        """Read a job; every name but `none` has one."""
        if self.read_drops:
            self.read_drops -= 1
            DROP.abort(context)
        if request.name.endswith("/none"):
            not_found(request.name).abort(context)
        return self.job(request.name)

    def ListTrainJobs(
        self, request: pb.ListTrainJobsRequest, context: grpc.ServicerContext
    ) -> pb.ListTrainJobsResponse:
        """List five jobs, two a page, whatever page size was asked for."""
        start = int(request.page_token or 0)
        jobs = [self.job(f"trainJobs/j{number}") for number in range(start, min(start + 2, 5))]
        return pb.ListTrainJobsResponse(train_jobs=jobs, next_page_token=str(start + 2) if start + 2 < 5 else "")

    def CancelTrainJob(self, request: pb.CancelTrainJobRequest, context: grpc.ServicerContext) -> pb.TrainJob:
        """Note the wish."""
        self.cancelled.append(request.name)
        return pb.TrainJob(name=request.name, state=pb.TrainJob.STATE_CANCELLING)

    def DeleteTrainJob(
        self, request: pb.DeleteTrainJobRequest, context: grpc.ServicerContext
    ) -> pb.DeleteTrainJobResponse:
        """Refuse: the job has not ended."""
        Refusal(grpc.StatusCode.FAILED_PRECONDITION, "cancel it first", reason="NOT_ENDED").abort(context)

    def SuggestSpec(self, request: pb.SuggestSpecRequest, context: grpc.ServicerContext) -> pb.SuggestSpecResponse:
        """Suggest a spec that learns from a text, and leaves a column out."""
        self.suggestions.append(request)
        if self.refusal is not None:
            self.refusal.abort(context)
        role = pb.SuggestedColumn
        return pb.SuggestSpecResponse(
            spec_yaml="# 3 rows\ninput_features: []\n",
            columns=[
                role(column="review", role=role.ROLE_INPUT, type="text", reason="FREE_TEXT", evidence="9 words"),
                role(column="order", role=role.ROLE_LEFT_OUT, reason="IDENTIFIER", evidence="each once"),
            ],
            warnings=[pb.JobWarning(reason="FEW_ROWS", message="3 rows")],
            row_count=3,
        )

    def PlanTrainJob(self, request: pb.PlanTrainJobRequest, context: grpc.ServicerContext) -> pb.PlanTrainJobResponse:
        """Plan one feature, found but for 3 rows; without rows, only read the spec."""
        self.requests.append(request)
        if self.refusal is not None:
            self.refusal.abort(context)
        warnings = [pb.JobWarning(reason="SPELLING", message="training: read as trainer")]
        text = "# training: read as trainer\ntrainer:\n  epochs: 1\n"
        if not request.HasField("dataset"):
            return pb.PlanTrainJobResponse(warnings=warnings, spec_yaml=text)
        encode = pb.EncodeProgress(feature="review", rows_total=10, rows_found=7, rows_encoded=3)
        value = pb.ResolvedValue(
            path="trainer.batch_size", value=Value(number_value=128), origin=pb.ResolvedValue.ORIGIN_RULE
        )
        return pb.PlanTrainJobResponse(
            resolved_spec=TrainSpec(),
            train_rows=7,
            validation_rows=1,
            test_rows=2,
            encode=[encode],
            resolved_values=[value],
            warnings=warnings,
            spec_yaml=text,
        )


def _of(event: pb.TrainJobEvent, job: str) -> pb.TrainJobEvent:
    named = pb.TrainJobEvent()
    named.CopyFrom(event)
    named.job = job
    return named
