"""ExportService."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, BinaryIO

from headstart.v1 import export_pb2 as pb
from headstart.v1 import export_pb2_grpc

from headstart_server.core.errors import DataLossError, NotFoundError, invalid
from headstart_server.core.names import id_of, name_of
from headstart_server.export.artifacts import Artifact, ArtifactRegistry
from headstart_server.jobs.exports import ExportOrder, Exports
from headstart_server.model.registry import ModelRegistry
from headstart_server.rpc.jobs import MODELS
from headstart_server.rpc.messages import page, timestamp

ARTIFACTS = "artifacts"
_CHUNK = 1 << 20
_FORMATS = {pb.ExportRequest.FORMAT_ONNX: "onnx", pb.ExportRequest.FORMAT_TORCHSCRIPT: "torchscript"}


class ExportServicer(export_pb2_grpc.ExportServiceServicer):
    """Exports in other processes; a caller who leaves ends its export."""

    def __init__(self, exports: Exports, artifacts: ArtifactRegistry, models: ModelRegistry) -> None:
        self._exports, self._artifacts, self._models = exports, artifacts, models

    async def Export(self, request: pb.ExportRequest, context: Any) -> AsyncIterator[pb.ExportEvent]:  # noqa: N802
        """Exports and streams the stages."""
        if request.format not in _FORMATS:
            raise invalid("format", f"{request.format} is no format; use FORMAT_ONNX or FORMAT_TORCHSCRIPT")
        identifier = id_of(MODELS, request.model, "model")
        await asyncio.to_thread(self._models.get, identifier)
        order = ExportOrder(identifier, _FORMATS[request.format], request.head_only)
        async with aclosing(self._exports.run(order)) as found:
            async for item in found:
                if isinstance(item, Artifact):
                    yield pb.ExportEvent(artifact=artifact_message(item))
                else:
                    yield pb.ExportEvent(progress=pb.ExportProgress(stage=item.stage, message=item.message))

    async def GetArtifact(self, request: pb.GetArtifactRequest, context: Any) -> pb.Artifact:  # noqa: N802
        """Reads."""
        return artifact_message(await asyncio.to_thread(self._artifacts.get, id_of(ARTIFACTS, request.name)))

    async def ListArtifacts(self, request: pb.ListArtifactsRequest, context: Any) -> pb.ListArtifactsResponse:  # noqa: N802
        """Lists."""
        model = id_of(MODELS, request.model, "model") if request.model else ""
        everything = await asyncio.to_thread(
            lambda: [item for item in self._artifacts.all() if model in ("", item.model)]
        )
        artifacts, token = page(everything, lambda item: item.identifier, request.page_size, request.page_token)
        return pb.ListArtifactsResponse(artifacts=map(artifact_message, artifacts), next_page_token=token)

    async def DownloadArtifact(  # noqa: N802
        self, request: pb.DownloadArtifactRequest, context: Any
    ) -> AsyncIterator[pb.DownloadArtifactResponse]:
        """Sends a file from an offset."""
        path, file = await asyncio.to_thread(
            self._artifacts.file, id_of(ARTIFACTS, request.name), request.path, request.offset
        )
        offset = request.offset
        with _opened(path, request.name) as source:
            while True:
                data = await asyncio.to_thread(_read, source, min(_CHUNK, file.size_bytes - offset), offset)
                if not data and offset < file.size_bytes:
                    raise DataLossError(f"{request.name}: {file.path} ends at byte {offset} of {file.size_bytes}")
                if data or offset == request.offset:
                    yield pb.DownloadArtifactResponse(
                        offset=offset, data=data, size_bytes=file.size_bytes, sha256=file.sha256
                    )
                offset += len(data)
                if offset >= file.size_bytes:
                    return

    async def DeleteArtifact(self, request: pb.DeleteArtifactRequest, context: Any) -> pb.DeleteArtifactResponse:  # noqa: N802
        """Deletes."""
        await asyncio.to_thread(self._artifacts.delete, id_of(ARTIFACTS, request.name))
        return pb.DeleteArtifactResponse()


def artifact_message(artifact: Artifact) -> pb.Artifact:
    """An artifact."""
    formats = {name: value for value, name in _FORMATS.items()}
    return pb.Artifact(
        name=name_of(ARTIFACTS, artifact.identifier),
        model=name_of(MODELS, artifact.model),
        format=formats[artifact.format],
        head_only=artifact.head_only,
        create_time=timestamp(artifact.create_time),
        files=[
            pb.ArtifactFile(path=file.path, size_bytes=file.size_bytes, sha256=file.sha256) for file in artifact.files
        ],
        max_difference=artifact.max_difference,
        size_bytes=sum(file.size_bytes for file in artifact.files),
    )


def _opened(path: Path, name: str) -> BinaryIO:
    """The file, which a deletion meanwhile does not take away."""
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise NotFoundError(f"{name} was deleted", field="name") from None


def _read(source: BinaryIO, size: int, offset: int) -> bytes:
    source.seek(offset)
    return source.read(size)
