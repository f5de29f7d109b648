"""ExportService."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from headstart.v1 import export_pb2 as pb
from headstart.v1 import export_pb2_grpc

from headstart_server.core.errors import invalid
from headstart_server.core.names import id_of, name_of
from headstart_server.export.artifacts import Artifact
from headstart_server.jobs.exports import ExportOrder
from headstart_server.rpc.callers import caller_of
from headstart_server.rpc.jobs import MODELS
from headstart_server.rpc.messages import page, timestamp
from headstart_server.service.exporting import ExportService

ARTIFACTS = "artifacts"
_FORMATS = {pb.ExportRequest.FORMAT_ONNX: "onnx", pb.ExportRequest.FORMAT_TORCHSCRIPT: "torchscript"}


class ExportServicer(export_pb2_grpc.ExportServiceServicer):
    """Parses, calls the use case, converts."""

    def __init__(self, exports: ExportService) -> None:
        self._exports = exports

    async def Export(self, request: pb.ExportRequest, context: Any) -> AsyncIterator[pb.ExportEvent]:  # noqa: N802
        """Exports and streams the stages."""
        if request.format not in _FORMATS:
            raise invalid("format", f"{request.format} is no format; use FORMAT_ONNX or FORMAT_TORCHSCRIPT")
        order = ExportOrder(id_of(MODELS, request.model, "model"), _FORMATS[request.format], request.head_only)
        async with aclosing(self._exports.export(caller_of(context), order)) as found:
            async for item in found:
                if isinstance(item, Artifact):
                    yield pb.ExportEvent(artifact=artifact_message(item))
                else:
                    yield pb.ExportEvent(progress=pb.ExportProgress(stage=item.stage, message=item.message))

    async def GetArtifact(self, request: pb.GetArtifactRequest, context: Any) -> pb.Artifact:  # noqa: N802
        """Reads."""
        return artifact_message(await self._exports.get(caller_of(context), id_of(ARTIFACTS, request.name)))

    async def ListArtifacts(self, request: pb.ListArtifactsRequest, context: Any) -> pb.ListArtifactsResponse:  # noqa: N802
        """Lists."""
        model = id_of(MODELS, request.model, "model") if request.model else ""
        everything = await self._exports.all(caller_of(context), model)
        artifacts, token = page(everything, lambda item: item.identifier, request.page_size, request.page_token)
        return pb.ListArtifactsResponse(artifacts=map(artifact_message, artifacts), next_page_token=token)

    async def DownloadArtifact(  # noqa: N802
        self, request: pb.DownloadArtifactRequest, context: Any
    ) -> AsyncIterator[pb.DownloadArtifactResponse]:
        """Sends a file from an offset."""
        identifier = id_of(ARTIFACTS, request.name)
        pieces = self._exports.download(caller_of(context), identifier, request.path, request.offset)
        async with aclosing(pieces):
            async for offset, data, file in pieces:
                yield pb.DownloadArtifactResponse(
                    offset=offset, data=data, size_bytes=file.size_bytes, sha256=file.sha256
                )

    async def DeleteArtifact(self, request: pb.DeleteArtifactRequest, context: Any) -> pb.DeleteArtifactResponse:  # noqa: N802
        """Deletes."""
        await self._exports.delete(caller_of(context), id_of(ARTIFACTS, request.name))
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
