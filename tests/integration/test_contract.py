"""What the contract says of jobs beside training, over a real server: labels, lists, watches, deadlines, plans."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import grpc
import headstart
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RequestInfo
from grpc_status import rpc_status
from headstart.v1 import training_pb2 as pb
from headstart.v1 import training_pb2_grpc

from tests.support import reviews
from tests.support.running_server import RunningServer

DATA = headstart.ServerPath("reviews.csv")
ENDLESS = reviews.spec(epochs=100_000, early_stop=-1)


def state_of(client: headstart.Client, name: str) -> str:
    return pb.TrainJob.State.Name(client.jobs.get(name).state).removeprefix("STATE_")


def test_a_job_tells_what_a_dashboard_needs(client: headstart.Client) -> None:
    details = headstart.JobDetails("for the test", {"team": "search"}, 3, timedelta(hours=1), timedelta(days=1))
    run = client.train(reviews.spec(epochs=4), DATA, display_name="told whole", details=details)
    job = run.result()
    assert (job.description, dict(job.labels), job.priority) == ("for the test", {"team": "search"}, 3)
    assert (job.attempt, job.ttl.ToTimedelta()) == (1, timedelta(days=1))
    assert job.deadline.ToDatetime() - job.create_time.ToDatetime() == timedelta(hours=1)
    assert job.expire_time.ToDatetime() - job.end_time.ToDatetime() == timedelta(days=1)
    [dataset] = job.datasets
    assert (dataset.role, dataset.path, dataset.row_count) == (pb.JobDataset.ROLE_TRAIN, "reviews.csv", 240)
    events = list(client.jobs.events(run.name))
    assert [epoch.epoch for epoch in job.epochs] == [1, 2, 3, 4]
    assert [event.epoch_finished.epoch for event in events if event.HasField("epoch_finished")] == [1, 2, 3, 4]
    assert [item.output for item in job.evaluation] == ["verdict"]
    assert [event.terminal for event in events] == [False] * (len(events) - 1) + [True]
    assert events[-1].state_change.previous_state == pb.TrainJob.STATE_PUBLISHING
    [listed] = client.jobs.list(filter='labels.team = "search" display_name = "told whole"')
    assert (listed.name, listed.HasField("spec"), len(listed.epochs)) == (run.name, False, 0)


def test_a_created_job_is_returned_as_it_is_stored_and_a_request_id_is_one_job_by_either_rpc(
    server: RunningServer, client: headstart.Client
) -> None:
    source = pb.DatasetSource(path="reviews.csv")
    body: dict[str, Any] = {"request_id": "created-once", "dataset": source, "spec_yaml": "input_features: []"}
    body["spec_yaml"] = (
        "input_features: [{name: price, type: number}]\noutput_features: [{name: verdict, type: category}]"
    )
    with grpc.insecure_channel(server.address) as channel:
        stub: Any = training_pb2_grpc.TrainingServiceStub(channel)  # type: ignore[no-untyped-call]
        created = stub.CreateTrainJob(pb.CreateTrainJobRequest(**body))
        again = stub.CreateTrainJob(pb.CreateTrainJobRequest(**body))
        first = next(iter(stub.TrainJob(pb.TrainJobRequest(**body, heartbeat_seconds=5))))
    assert (created.name, first.event.sequence) == (again.name, 1)
    assert first.event.job == created.name
    assert client.watch(created.name).result().state == pb.TrainJob.STATE_SUCCEEDED


def test_a_watch_of_all_jobs_hears_of_a_job_from_its_creation_to_its_deletion(client: headstart.Client) -> None:
    told: list[str] = []
    synced, succeeded, gone = threading.Event(), threading.Event(), threading.Event()

    def listen() -> None:
        for update in client.jobs.watch(filter="labels:watched"):
            match update.WhichOneof("update"):
                case "synced":
                    synced.set()
                case "removed":
                    told.append("removed")
                    gone.set()
                    return
                case "train_job":
                    told.append(pb.TrainJob.State.Name(update.train_job.state).removeprefix("STATE_"))
                    if told[-1] == "SUCCEEDED":
                        succeeded.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert synced.wait(30)
    run = client.train(reviews.spec(epochs=1), DATA, details=headstart.JobDetails(labels={"watched": ""}))
    run.result()
    assert succeeded.wait(60)  # of changes within a second the last is told
    client.jobs.delete(run.name)
    assert gone.wait(60)
    assert told[-2:] == ["SUCCEEDED", "removed"]


def test_what_people_say_of_a_job_can_be_changed(client: headstart.Client) -> None:
    run = client.train(reviews.spec(epochs=1), DATA, details=headstart.JobDetails("first", {"a": "1", "b": "2"}))
    run.result()
    changed = client.jobs.update(run.name, description="second", labels={"a": "3"})
    assert (changed.description, dict(changed.labels), changed.display_name) == ("second", {"a": "3"}, "")
    assert client.jobs.get(run.name).description == "second"
    with pytest.raises(headstart.FailedPrecondition) as refused:
        client.jobs.update(run.name, priority=5)
    assert refused.value.reason == "JOB_BEGUN"


def test_a_job_that_runs_past_its_deadline_fails_by_name(client: headstart.Client) -> None:
    run = client.train(ENDLESS, DATA, details=headstart.JobDetails(timeout=timedelta(seconds=8)))
    with pytest.raises(headstart.JobFailed) as failed:
        run.result()
    assert failed.value.reason == "DEADLINE_EXCEEDED"
    assert "8 s after it was created" in str(failed.value)
    assert client.jobs.get(run.name).error.field == "timeout"


def test_a_cancelled_job_may_be_cancelled_again(client: headstart.Client) -> None:
    run = client.train(ENDLESS, DATA)
    client.jobs.cancel(run.name)
    with pytest.raises(headstart.JobCancelled):
        run.result()
    assert client.jobs.cancel(run.name).state == pb.TrainJob.STATE_CANCELLED
    assert state_of(client, run.name) == "CANCELLED"


def test_a_plan_tells_all_that_is_wrong_and_an_error_the_first_of_it(client: headstart.Client) -> None:
    spec = reviews.spec()
    spec["trainer"] = {f"misspelt_{number}": number for number in range(300)}
    with pytest.raises(headstart.InvalidArgument) as planned:
        client.plan(spec, DATA)
    assert len(planned.value.violations) == 300
    with pytest.raises(headstart.InvalidArgument) as refused:
        client.train(spec, DATA)
    assert 0 < len(refused.value.violations) <= 21
    assert "more" in str(refused.value.violations[-1])


def test_an_error_names_its_reason_and_the_request_in_the_log(server: RunningServer) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub: Any = training_pb2_grpc.TrainingServiceStub(channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.RpcError) as refused:
            stub.GetTrainJob(pb.GetTrainJobRequest(name="trainJobs/none"))
    status = rpc_status.from_call(refused.value)
    found = {detail.TypeName(): detail for detail in status.details}
    info, request = ErrorInfo(), RequestInfo()
    assert found["google.rpc.ErrorInfo"].Unpack(info) and found["google.rpc.RequestInfo"].Unpack(request)
    assert (info.reason, info.domain) == ("NOT_FOUND", "headstart.dev")
    assert request.request_id in server.log
