"""ExportService."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from google.rpc.status_pb2 import Status
from headstart.v1 import export_pb2 as pb
from headstart.v1 import export_pb2_grpc, training_pb2

from headstart_server.core.errors import HeadstartError, invalid
from headstart_server.core.names import id_of, name_of
from headstart_server.core.principal import Principal
from headstart_server.engines.envelopes import PREDICTIONS, PredictionsOrder
from headstart_server.export.artifacts import Artifact
from headstart_server.jobs.export_records import ExportRecord
from headstart_server.rpc.callers import caller_of
from headstart_server.rpc.errors import status_of
from headstart_server.rpc.job_orders import data_source
from headstart_server.rpc.jobs import MODELS
from headstart_server.rpc.messages import (
    backend_message,
    backend_values,
    page,
    page_limit,
    page_start,
    page_token,
    timestamp,
)
from headstart_server.rpc.reuse import reuse_of
from headstart_server.rpc.streams import heartbeat_seconds
from headstart_server.service.exporting import ExportService, ExportWanted, RowsWanted
from headstart_server.service.model_names import ModelNames
from headstart_server.spec.parse import parse_backend

ARTIFACTS, EXPORT_JOBS = "artifacts", "exportJobs"
_FORMATS = {
    pb.Artifact.FORMAT_ONNX: "onnx",
    pb.Artifact.FORMAT_TORCHSCRIPT: "torchscript",
    pb.Artifact.FORMAT_PREDICTIONS: PREDICTIONS,
}
_VALUES = {name: value for value, name in _FORMATS.items()}


class ExportServicer(export_pb2_grpc.ExportServiceServicer):
    """Parses, calls the use case, converts."""

    def __init__(self, exports: ExportService, names: ModelNames) -> None:
        self._exports, self._names = exports, names

    async def Export(self, request: pb.ExportRequest, context: Any) -> AsyncIterator[pb.ExportResponse]:  # noqa: N802
        """Creates and follows."""
        caller, name, told = caller_of(context), "", None
        async with aclosing(self._exports.export(caller, await self._wanted(caller, request))) as found:
            async for item in found:
                if isinstance(item, Artifact):
                    yield pb.ExportResponse(artifact=artifact_message(item), export_job=name)
                    continue
                message = export_job_message(item)
                name, progress = message.name, message.progress
                if message.HasField("progress") and progress != told:
                    yield pb.ExportResponse(progress=progress, export_job=name)
                told = progress

    async def CreateExportJob(self, request: pb.CreateExportJobRequest, context: Any) -> pb.ExportJob:  # noqa: N802
        """Creates."""
        caller = caller_of(context)
        return export_job_message(await self._exports.create(caller, await self._wanted(caller, request)))

    async def GetExportJob(self, request: pb.GetExportJobRequest, context: Any) -> pb.ExportJob:  # noqa: N802
        """Reads."""
        return export_job_message(await self._exports.job(caller_of(context), id_of(EXPORT_JOBS, request.name)))

    async def ListExportJobs(self, request: pb.ListExportJobsRequest, context: Any) -> pb.ListExportJobsResponse:  # noqa: N802
        """Lists."""
        caller = caller_of(context)
        model = await self._names.identifier(caller, request.model, "model") if request.model else ""
        limit, before = page_limit(request.page_size), page_start(request.page_token, EXPORT_JOBS)
        found = await self._exports.jobs(caller, limit + 1, before, model)
        token = page_token(found[limit - 1].identifier, EXPORT_JOBS) if len(found) > limit else ""
        return pb.ListExportJobsResponse(export_jobs=map(export_job_message, found[:limit]), next_page_token=token)

    async def WatchExportJob(  # noqa: N802
        self, request: pb.WatchExportJobRequest, context: Any
    ) -> AsyncIterator[pb.WatchExportJobResponse]:
        """Follows."""
        identifier, idle = id_of(EXPORT_JOBS, request.name), heartbeat_seconds(request.heartbeat_seconds)
        async with aclosing(self._exports.watch(caller_of(context), identifier, idle)) as found:
            async for job in found:
                yield pb.WatchExportJobResponse(export_job=export_job_message(job))

    async def CancelExportJob(self, request: pb.CancelExportJobRequest, context: Any) -> pb.ExportJob:  # noqa: N802
        """Cancels."""
        return export_job_message(await self._exports.cancel(caller_of(context), id_of(EXPORT_JOBS, request.name)))

    async def GetArtifact(self, request: pb.GetArtifactRequest, context: Any) -> pb.Artifact:  # noqa: N802
        """Reads."""
        return artifact_message(await self._exports.get(caller_of(context), id_of(ARTIFACTS, request.name)))

    async def ListArtifacts(self, request: pb.ListArtifactsRequest, context: Any) -> pb.ListArtifactsResponse:  # noqa: N802
        """Lists."""
        caller = caller_of(context)
        model = await self._names.identifier(caller, request.model, "model") if request.model else ""
        everything = await self._exports.all(caller, model)
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

    async def _wanted(self, caller: Principal, request: pb.ExportRequest | pb.CreateExportJobRequest) -> ExportWanted:
        """What to export; raises InvalidInputError, or NotFoundError for an alias that there is not."""
        if request.format not in _FORMATS:
            known = ", ".join(pb.Artifact.Format.Name(each) for each in _FORMATS)
            raise invalid("format", f"{request.format} is no format; use one of {known}")
        rows = None
        if request.format == pb.Artifact.FORMAT_PREDICTIONS:
            rows = _rows_wanted(request)
        elif request.HasField("predictions"):
            raise invalid("predictions", "are of FORMAT_PREDICTIONS alone; leave them out, or set that format")
        model = await self._names.identifier(caller, request.model, "model")
        return ExportWanted(model, _FORMATS[request.format], request.head_only, rows)


def _rows_wanted(request: pb.ExportRequest | pb.CreateExportJobRequest) -> RowsWanted:
    """Rows to predict; raises InvalidInputError."""
    if request.head_only:
        raise invalid("head_only", "is of graphs, and the format is FORMAT_PREDICTIONS; leave it out")
    wanted = request.predictions
    source = data_source(wanted.dataset, "predictions.dataset")
    reuse = reuse_of(wanted.embedding_reuse, "predictions.embedding_reuse")
    backend = parse_backend(backend_values(wanted.backend), "predictions.backend")
    return RowsWanted(source, tuple(wanted.columns), wanted.probabilities, reuse, backend)


def export_job_message(job: ExportRecord) -> pb.ExportJob:
    """An export job."""
    message = pb.ExportJob(
        name=name_of(EXPORT_JOBS, job.identifier),
        model=name_of(MODELS, job.order.model),
        format=_VALUES[job.order.format],
        head_only=job.order.head_only,
        state=f"STATE_{job.state}",
        artifact=name_of(ARTIFACTS, job.artifact) if job.artifact else "",
        create_time=timestamp(job.create_time),
        start_time=timestamp(job.start_time),
        end_time=timestamp(job.end_time),
        error=_status(job.error) if job.error is not None else None,
        predictions=_predictions(job.order.predictions) if job.order.predictions is not None else None,
    )
    if job.jobs_before is not None:
        message.jobs_before = job.jobs_before
        said = f"waits for those that run, and for {job.jobs_before} that wait before it"
        message.progress.stage = "wait"
        message.progress.message = "; ".join(filter(None, (said, job.stage.message)))
    elif job.stage.stage:
        message.progress.CopyFrom(pb.ExportProgress(**vars(job.stage)))
    return message


def _predictions(order: PredictionsOrder) -> pb.DatasetPredictions:
    source = order.source
    dataset = training_pb2.DatasetSource(table_file=source.table_file)
    if source.dataset:
        dataset.dataset = name_of("datasets", source.dataset)
    else:
        dataset.path = source.given
    return pb.DatasetPredictions(
        dataset=dataset,
        columns=order.columns,
        probabilities=order.probabilities,
        embedding_reuse=f"EMBEDDING_REUSE_{order.reuse.upper()}",
        backend=backend_message(given) if (given := order.backend.model_dump(exclude_defaults=True)) else None,
    )


def _status(error: HeadstartError) -> Status:
    return status_of(error)[2]


def artifact_message(artifact: Artifact) -> pb.Artifact:
    """An artifact."""
    return pb.Artifact(
        name=name_of(ARTIFACTS, artifact.identifier),
        model=name_of(MODELS, artifact.model),
        format=_VALUES[artifact.format],
        head_only=artifact.head_only,
        create_time=timestamp(artifact.create_time),
        files=[
            pb.ArtifactFile(path=file.path, size_bytes=file.size_bytes, sha256=file.sha256) for file in artifact.files
        ],
        max_difference=artifact.max_difference,
        size_bytes=sum(file.size_bytes for file in artifact.files),
        row_count=artifact.row_count,
        rows_left_out=artifact.rows_left_out,
    )
