"""Downloads stay whole while their artifact is deleted; exports go on when their caller leaves."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from headstart.v1 import export_pb2 as pb
from headstart_server.core.errors import (
    CancelledError,
    DataLossError,
    FailedPreconditionError,
    HeadstartError,
    InvalidInputError,
    NotFoundError,
    StoppingError,
)
from headstart_server.core.executors import Executors
from headstart_server.core.names import new_id
from headstart_server.core.principal import ANONYMOUS, set_caller
from headstart_server.export.artifacts import Artifact, ArtifactRegistry
from headstart_server.jobs.export_records import ExportOrder, Stage
from headstart_server.jobs.export_store import ExportStore
from headstart_server.jobs.exports import Exports
from headstart_server.jobs.store import JobStore
from headstart_server.rpc.export import ExportServicer
from headstart_server.service.exporting import ExportService
from headstart_server.storage.folders import SharedFolders

from tests.support.artifacts import CONTENT, publish
from tests.support.model_names import plain_names


class FakeProcesses:
    """Tell a stage, then publish, fail, or wait until they are ended."""

    pids: Sequence[int] = ()

    def __init__(self, artifacts: ArtifactRegistry, outcome: HeadstartError | str = "published") -> None:
        self.artifacts, self.outcome, self.ended = artifacts, outcome, ""

    async def find(self, tenant: str, order: ExportOrder) -> Artifact | None:
        return None

    async def made(self, tenant: str, order: ExportOrder) -> AsyncIterator[Stage | Artifact]:
        try:
            yield Stage("load", "loading")
            if isinstance(self.outcome, HeadstartError):
                raise self.outcome
            if self.outcome == "waits":
                await asyncio.sleep(600)
            yield publish(self.artifacts)
        finally:
            self.ended += "ended "

    async def close(self) -> None:
        return


class AnyModel:
    """Has every model, and serves it."""

    def get(self, identifier: str) -> Any:
        return None


@pytest.fixture
def registry(tmp_path: Path) -> ArtifactRegistry:
    return ArtifactRegistry(SharedFolders(tmp_path / "artifacts"))


def servicer(registry: ArtifactRegistry, exports: Any = None, store: Any = None) -> ExportServicer:
    """The service over these artifacts, called by anybody."""
    set_caller(ANONYMOUS)
    tenants: Any = SimpleNamespace(of=lambda _: SimpleNamespace(artifacts=registry, models=AnyModel()))
    return ExportServicer(ExportService(exports, store, tenants, Executors()), plain_names())


@pytest.fixture
async def serve(registry: ArtifactRegistry, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Gives the service over exports that end so, and their processes."""
    jobs, started = JobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}"), list[Exports]()

    async def start(outcome: HeadstartError | str = "published") -> tuple[ExportServicer, FakeProcesses]:
        store, processes = ExportStore(jobs.database, "here"), FakeProcesses(registry, outcome)
        given: Any = processes
        started.append(Exports(store, given, Executors()))
        await started[-1].start()
        return servicer(registry, started[-1], store), processes

    yield start
    for exports in started:
        await exports.close()
    jobs.close()


def request_of(model: str = "") -> pb.ExportRequest:
    """An export to ONNX."""
    return pb.ExportRequest(model=f"models/{model or new_id()}", format=pb.Artifact.FORMAT_ONNX)


async def test_a_download_stays_whole_while_its_artifact_is_deleted(registry: ArtifactRegistry) -> None:
    name = f"artifacts/{publish(registry).identifier}"
    service = servicer(registry)
    stream = service.DownloadArtifact(pb.DownloadArtifactRequest(name=name, path="model.onnx"), None)
    chunks = [await anext(stream)]
    await service.DeleteArtifact(pb.DeleteArtifactRequest(name=name), None)
    with pytest.raises(NotFoundError):
        await service.GetArtifact(pb.GetArtifactRequest(name=name), None)
    chunks += [chunk async for chunk in stream]
    assert [chunk.offset for chunk in chunks] == [0, 1 << 20, 2 << 20]
    assert b"".join(chunk.data for chunk in chunks) == CONTENT
    assert {chunk.sha256 for chunk in chunks} == {hashlib.sha256(CONTENT).hexdigest()}


async def test_a_download_that_begins_after_the_deletion_is_not_found(
    registry: ArtifactRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = publish(registry)
    found = registry.file(artifact.identifier, "model.onnx", 0)
    registry.delete(artifact.identifier)
    monkeypatch.setattr(registry, "file", lambda *_: found)  # the deletion came between looking and opening
    name = f"artifacts/{artifact.identifier}"
    stream = servicer(registry).DownloadArtifact(pb.DownloadArtifactRequest(name=name, path="model.onnx"), None)
    with pytest.raises(NotFoundError, match=f"{name} was deleted"):
        await anext(stream)


async def test_a_file_cut_short_while_it_is_sent_is_data_loss(registry: ArtifactRegistry) -> None:
    artifact = publish(registry)
    request = pb.DownloadArtifactRequest(name=f"artifacts/{artifact.identifier}", path="model.onnx")
    stream = servicer(registry).DownloadArtifact(request, None)
    await anext(stream)
    os.truncate(registry.folders.path(artifact.identifier) / "model.onnx", 1 << 20)
    with pytest.raises(DataLossError, match=f"ends at byte {1 << 20} of {len(CONTENT)}"):
        await anext(stream)


async def test_a_download_goes_on_where_it_is_asked_to(registry: ArtifactRegistry) -> None:
    name = f"artifacts/{publish(registry).identifier}"
    request = pb.DownloadArtifactRequest(name=name, path="model.onnx", offset=len(CONTENT) - 5)
    chunks = [chunk async for chunk in servicer(registry).DownloadArtifact(request, None)]
    assert b"".join(chunk.data for chunk in chunks) == CONTENT[-5:]


async def test_an_export_tells_its_steps_and_then_the_artifact(serve: Callable[..., Any]) -> None:
    service, _ = await serve()
    events = [event async for event in service.Export(request_of(), None)]
    assert [event.WhichOneof("event") for event in events[-1:]] == ["artifact"]
    assert {event.WhichOneof("event") for event in events[:-1]} == {"progress"}
    (name,) = {event.export_job for event in events}
    job = await service.GetExportJob(pb.GetExportJobRequest(name=name), None)
    assert (job.state, job.artifact) == (pb.ExportJob.STATE_SUCCEEDED, events[-1].artifact.name)
    assert job.HasField("start_time") and job.HasField("end_time") and not job.HasField("progress")


async def test_an_export_goes_on_when_its_caller_leaves_until_it_is_cancelled(serve: Callable[..., Any]) -> None:
    service, processes = await serve("waits")
    leaving: Any = service.Export(request_of("m1"), None)
    while (event := await anext(leaving)).progress.stage != "load":
        pass
    await leaving.aclose()
    wanted = pb.CreateExportJobRequest(model="models/m1", format=pb.Artifact.FORMAT_ONNX)
    job = await service.CreateExportJob(wanted, None)
    assert (job.name, job.state, processes.ended) == (event.export_job, pb.ExportJob.STATE_RUNNING, "")
    again: Any = service.Export(request_of("m1"), None)
    assert (await anext(again)).export_job == job.name
    for _ in range(2):
        cancelled = await service.CancelExportJob(pb.CancelExportJobRequest(name=job.name), None)
        assert cancelled.state == pb.ExportJob.STATE_CANCELLED
    with pytest.raises(CancelledError, match=f"{job.name} was cancelled"):
        [_ async for _ in again]
    async with asyncio.timeout(60):
        while not processes.ended:
            await asyncio.sleep(0.01)


async def test_who_waits_hears_at_once_how_many_wait_before_it(serve: Callable[..., Any]) -> None:
    service, _ = await serve("waits")
    first: Any = service.Export(request_of("m1"), None)
    while (await anext(first)).progress.stage != "load":
        pass
    await service.CreateExportJob(pb.CreateExportJobRequest(model="models/m2", format=pb.Artifact.FORMAT_ONNX), None)
    event = await anext(service.Export(request_of("m3"), None))
    assert event.progress.stage == "wait" and "for 1 that wait before it" in event.progress.message
    job = await service.GetExportJob(pb.GetExportJobRequest(name=event.export_job), None)
    assert (job.state, job.jobs_before) == (pb.ExportJob.STATE_QUEUED, 1)
    await first.aclose()


async def test_what_an_export_fails_of_is_the_error_of_the_call_and_of_the_job(serve: Callable[..., Any]) -> None:
    service, _ = await serve(FailedPreconditionError("it differs", reason="PARITY", field="model"))
    name = ""
    with pytest.raises(FailedPreconditionError, match="it differs") as caught:
        async for event in service.Export(request_of(), None):
            name = event.export_job
    assert caught.value.reason == "PARITY"
    (job,) = [each.export_job async for each in service.WatchExportJob(pb.WatchExportJobRequest(name=name), None)]
    assert (job.state, job.error.code) == (pb.ExportJob.STATE_FAILED, grpc.StatusCode.FAILED_PRECONDITION.value[0])
    info = ErrorInfo()
    assert job.error.details[0].Unpack(info)
    assert (job.error.message, info.reason, info.metadata["field"]) == ("it differs", "PARITY", "model")


async def test_export_jobs_are_listed_page_by_page(serve: Callable[..., Any]) -> None:
    service, _ = await serve("waits")
    made = []
    for number in range(5):
        wanted = pb.CreateExportJobRequest(model=f"models/m{number}", format=pb.Artifact.FORMAT_TORCHSCRIPT)
        made.append((await service.CreateExportJob(wanted, None)).name)
    found, token = [], ""
    for _ in range(3):
        page = await service.ListExportJobs(pb.ListExportJobsRequest(page_size=2, page_token=token), None)
        found += [job.name for job in page.export_jobs]
        token = page.next_page_token
    assert (found, token) == (made[::-1], "")
    own = await service.ListExportJobs(pb.ListExportJobsRequest(model="models/m2"), None)
    assert [job.name for job in own.export_jobs] == [made[2]]
    with pytest.raises(InvalidInputError, match="page_token"):
        await service.ListExportJobs(pb.ListExportJobsRequest(page_token="made-up"), None)


async def test_a_watch_whose_server_stops_ends_as_stopping(serve: Callable[..., Any]) -> None:
    service, _ = await serve("waits")
    job = await service.CreateExportJob(
        pb.CreateExportJobRequest(model="models/m1", format=pb.Artifact.FORMAT_ONNX), None
    )
    watch: Any = service.WatchExportJob(pb.WatchExportJobRequest(name=job.name), None)
    await anext(watch)
    await service._exports._exports.close()
    with pytest.raises(StoppingError):
        [_ async for _ in watch]
