"""Lists and their filters over a real connection: what is out of range is refused by name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from headstart.v1 import (
    dataset_pb2,
    dataset_pb2_grpc,
    export_pb2,
    export_pb2_grpc,
    model_pb2,
    model_pb2_grpc,
    training_pb2,
    training_pb2_grpc,
)
from headstart_server.core.executors import Executors
from headstart_server.core.layout import Layout
from headstart_server.core.states import State
from headstart_server.engines.events import RowCounts, SpecResolved, StateChange
from headstart_server.jobs.export_store import ExportStore
from headstart_server.jobs.store import JobStore
from headstart_server.planning.resolution import Origin, ResolvedValue
from headstart_server.rpc.datasets import DatasetServicer
from headstart_server.rpc.export import ExportServicer
from headstart_server.rpc.models import ModelServicer
from headstart_server.rpc.training import TrainingServicer
from headstart_server.service.datasets import DatasetService
from headstart_server.service.exporting import ExportService
from headstart_server.service.model_names import ModelNames
from headstart_server.service.models import ModelService
from headstart_server.service.training import TrainingService

from tests.support import reviews
from tests.support.fake_predictor import EmptyModelPool
from tests.support.fake_workers import job_record
from tests.support.serving_here import served
from tests.support.stubs import stub_of
from tests.support.tenancy import tenants_of

NOBODY: Any = None
NO_MODELS: Any = EmptyModelPool()


@pytest.fixture
def jobs(tmp_path: Path) -> JobStore:
    return JobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")


@pytest.fixture
async def channel(tmp_path: Path, jobs: JobStore) -> AsyncIterator[grpc.aio.Channel]:
    tenants, executors, names = tenants_of(tmp_path), Executors(), ModelNames.of(jobs, Executors())
    async with served(
        TrainingService=TrainingServicer(TrainingService(tenants, NOBODY, jobs, Layout(tmp_path), executors, names)),
        DatasetService=DatasetServicer(DatasetService(tenants, jobs, executors)),
        ModelService=ModelServicer(ModelService(tenants, NO_MODELS, executors, names), names),
        ExportService=ExportServicer(ExportService(NOBODY, ExportStore(jobs.database), tenants, executors), names),
    ) as opened:
        yield opened
    jobs.close()


async def refused(call: Any) -> str:
    """What an INVALID_ARGUMENT says."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    return error.value.details() or ""


@pytest.mark.parametrize("token", ["made-up", "models/01m805kdytsxwg9b7ztn", "01m805kdytsxwg9b7ztn"])
async def test_made_up_page_tokens_are_refused_by_every_list(channel: grpc.aio.Channel, token: str) -> None:
    lists = [
        (stub_of(training_pb2_grpc.TrainingServiceStub, channel).ListTrainJobs, training_pb2.ListTrainJobsRequest),
        (stub_of(dataset_pb2_grpc.DatasetServiceStub, channel).ListDatasets, dataset_pb2.ListDatasetsRequest),
        (stub_of(model_pb2_grpc.ModelServiceStub, channel).ListModels, model_pb2.ListModelsRequest),
        (stub_of(export_pb2_grpc.ExportServiceStub, channel).ListArtifacts, export_pb2.ListArtifactsRequest),
        (stub_of(export_pb2_grpc.ExportServiceStub, channel).ListExportJobs, export_pb2.ListExportJobsRequest),
    ]
    for call, request in lists:
        assert (await refused(call(request(page_token=token)))).startswith("page_token: ")


async def test_jobs_are_listed_page_by_page(channel: grpc.aio.Channel, jobs: JobStore) -> None:
    stored = [jobs.create(job_record())[0].identifier for _ in range(5)]
    stub, found, token = stub_of(training_pb2_grpc.TrainingServiceStub, channel), list[str](), ""
    for _ in range(3):
        page = await stub.ListTrainJobs(training_pb2.ListTrainJobsRequest(page_size=2, page_token=token))
        found += [job.name for job in page.train_jobs]
        token = page.next_page_token
    assert token == ""
    assert found == [f"trainJobs/{name}" for name in sorted(stored, reverse=True)]


async def test_lists_tell_what_was_resolved_where_it_is_asked_for(channel: grpc.aio.Channel, jobs: JobStore) -> None:
    job, _ = jobs.create(job_record())
    jobs.append(job.identifier, StateChange(State.PREPARING))
    value = ResolvedValue("trainer.epochs", 5, Origin.DEFAULT)
    jobs.append(job.identifier, SpecResolved(reviews.spec(), [value], RowCounts(3, 2, 1)))
    stub = stub_of(training_pb2_grpc.TrainingServiceStub, channel)
    basic, plain, full = [
        (await stub.ListTrainJobs(training_pb2.ListTrainJobsRequest(view=view))).train_jobs[0]
        for view in (training_pb2.JOB_VIEW_BASIC, training_pb2.JOB_VIEW_UNSPECIFIED, training_pb2.JOB_VIEW_FULL)
    ]
    assert full == await stub.GetTrainJob(training_pb2.GetTrainJobRequest(name=full.name))
    assert [item.path for item in full.resolved_values] == ["trainer.epochs"]
    for field in ("spec", "resolved_values", "resolved_spec"):
        assert full.HasField(field) if field != "resolved_values" else full.resolved_values
        full.ClearField(field)
    assert basic == plain == full


async def test_states_and_formats_out_of_range_are_refused(channel: grpc.aio.Channel) -> None:
    training = stub_of(training_pb2_grpc.TrainingServiceStub, channel)
    states: list[Any] = [1, 99]
    assert "states: 99" in await refused(training.ListTrainJobs(training_pb2.ListTrainJobsRequest(states=states)))
    view: Any = 9
    assert "view: 9" in await refused(training.ListTrainJobs(training_pb2.ListTrainJobsRequest(view=view)))
    export = stub_of(export_pb2_grpc.ExportServiceStub, channel)
    formats: list[Any] = [0, 77]
    for value in formats:
        request = export_pb2.ExportRequest(model="models/m1", format=value)
        assert f"format: {value}" in await refused(export.Export(request))
    unknown: Any = 55
    header = dataset_pb2.DatasetHeader(display_name="a.csv", format=unknown)
    upload = stub_of(dataset_pb2_grpc.DatasetServiceStub, channel).UploadDataset
    assert "header.format: 55" in await refused(upload(iter([dataset_pb2.UploadDatasetRequest(header=header)])))


async def test_long_names_are_refused_before_anything_is_written(channel: grpc.aio.Channel, tmp_path: Path) -> None:
    header = dataset_pb2.DatasetHeader(display_name="x" * 252 + ".csv")
    upload = stub_of(dataset_pb2_grpc.DatasetServiceStub, channel).UploadDataset
    said = await refused(upload(iter([dataset_pb2.UploadDatasetRequest(header=header)])))
    assert said == "header.display_name: is 256 characters long; use at most 255"
    training = stub_of(training_pb2_grpc.TrainingServiceStub, channel)
    for field in ("display_name", "request_id"):
        long: dict[str, Any] = {field: "x" * 129}
        said = await refused(training.TrainJob(training_pb2.TrainJobRequest(**long)))
        assert said == f"{field}: is 129 characters long; use at most 128"
    assert not (tmp_path / "jobs").exists()
    assert not (tmp_path / "datasets").exists()
