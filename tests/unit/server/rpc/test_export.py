"""Downloads stay whole while their artifact is deleted; exports end when their caller leaves."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from headstart.v1 import export_pb2 as pb
from headstart_server.core.errors import DataLossError, NotFoundError
from headstart_server.core.executors import Executors
from headstart_server.core.names import new_id
from headstart_server.core.principal import ANONYMOUS
from headstart_server.export.artifacts import Artifact, ArtifactRegistry
from headstart_server.jobs.exports import ExportOrder, Stage
from headstart_server.rpc.callers import set_caller
from headstart_server.rpc.export import ExportServicer
from headstart_server.service.exporting import ExportService
from headstart_server.storage.folders import SharedFolders

from tests.support.artifacts import CONTENT, publish


class AnyExports:
    """Tells a stage, then publishes; remembers whether its caller left first."""

    def __init__(self, artifacts: ArtifactRegistry) -> None:
        self.artifacts, self.ended = artifacts, ""

    async def run(self, tenant: str, order: ExportOrder) -> AsyncIterator[Stage | Artifact]:
        try:
            yield Stage("load", "loading")
            yield publish(self.artifacts)
            self.ended = "published"
        finally:
            self.ended = self.ended or "left"


class AnyModel:
    """Has every model, and serves it."""

    def get(self, identifier: str) -> Any:
        return None


@pytest.fixture
def registry(tmp_path: Path) -> ArtifactRegistry:
    return ArtifactRegistry(SharedFolders(tmp_path / "artifacts"))


def servicer(registry: ArtifactRegistry, exports: Any = None) -> ExportServicer:
    """The service over these artifacts, called by anybody."""
    set_caller(ANONYMOUS)
    tenants: Any = SimpleNamespace(of=lambda _: SimpleNamespace(artifacts=registry, models=AnyModel()))
    return ExportServicer(ExportService(exports, tenants, Executors()))


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


async def test_an_export_tells_its_stages_and_then_the_artifact(registry: ArtifactRegistry) -> None:
    exports = AnyExports(registry)
    request = pb.ExportRequest(model=f"models/{new_id()}", format=pb.ExportRequest.FORMAT_ONNX)
    events = [event async for event in servicer(registry, exports).Export(request, None)]
    assert [event.WhichOneof("event") for event in events] == ["progress", "artifact"]
    assert exports.ended == "published"


async def test_an_export_ends_when_its_caller_leaves(registry: ArtifactRegistry) -> None:
    exports = AnyExports(registry)
    request = pb.ExportRequest(model=f"models/{new_id()}", format=pb.ExportRequest.FORMAT_ONNX)
    leaving: Any = servicer(registry, exports).Export(request, None)
    assert (await anext(leaving)).progress.stage == "load"
    await leaving.aclose()
    assert exports.ended == "left"
