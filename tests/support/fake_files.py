"""Services that take and give files, with streams that can be made to drop or to lie."""

# ruff: noqa: N802  (methods are named as in the protos)

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator

import grpc
from headstart.v1 import dataset_pb2, export_pb2
from headstart.v1.dataset_pb2_grpc import DatasetServiceServicer
from headstart.v1.export_pb2_grpc import ExportServiceServicer

from tests.support.refusals import DROP, Refusal, not_found

CHUNK = 1000


class FakeDatasets(DatasetServiceServicer):
    """Keeps uploads in memory, by digest. The first `drops` uploads break off after their header; those after them once
    they have brought as many bytes as `breaks` says."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.headers: list[dataset_pb2.DatasetHeader] = []
        self.chunk_sizes: list[int] = []
        self.drops = 0
        self.breaks: deque[int] = deque()
        self.parts: dict[str, bytes] = {}
        """What has arrived, by upload id."""
        self.promised: int | None = None
        self.refusal: Refusal | None = None
        self.table_files: list[str] = []

    def _dataset(self, digest: str) -> dataset_pb2.Dataset:
        return dataset_pb2.Dataset(
            name=f"datasets/{digest[:8]}",
            sha256=digest,
            size_bytes=len(self.contents[digest]),
            format=dataset_pb2.Dataset.FORMAT_CSV if not self.table_files else dataset_pb2.Dataset.FORMAT_ZIP,
            table_files=self.table_files,
        )

    def UploadDataset(
        self, request_iterator: Iterator[dataset_pb2.UploadDatasetRequest], context: grpc.ServicerContext
    ) -> dataset_pb2.Dataset:
        """Keep a file."""
        self.headers.append(next(request_iterator).header)
        if self.refusal is not None:
            self.refusal.abort(context)
        if self.drops:
            self.drops -= 1
            DROP.abort(context)
        header = self.headers[-1]
        if header.offset > len(self.parts.get(header.upload_id, b"")):
            Refusal(grpc.StatusCode.OUT_OF_RANGE, "that much is not here", reason="OUT_OF_RANGE").abort(context)
        content = self.parts.get(header.upload_id, b"")[: header.offset]
        for request in request_iterator:
            self.chunk_sizes.append(len(request.chunk))
            content += request.chunk
            self.parts[header.upload_id] = content
            if self.breaks and len(content) >= self.breaks[0]:
                self.breaks.popleft()
                DROP.abort(context)
        digest = hashlib.sha256(content).hexdigest()
        self.contents[digest] = content
        return self._dataset(digest)

    def GetUpload(self, request: dataset_pb2.GetUploadRequest, context: grpc.ServicerContext) -> dataset_pb2.Upload:
        """Say what has arrived, or what is promised in its place."""
        if request.upload_id not in self.parts:
            not_found(request.upload_id).abort(context)
        arrived = len(self.parts[request.upload_id]) if self.promised is None else self.promised
        return dataset_pb2.Upload(upload_id=request.upload_id, committed_bytes=arrived)

    def GetDataset(self, request: dataset_pb2.GetDatasetRequest, context: grpc.ServicerContext) -> dataset_pb2.Dataset:
        """Find a file by its digest."""
        digest = request.name.removeprefix("datasets/sha256:").partition(".")[0]
        if digest not in self.contents:
            not_found(request.name).abort(context)
        return self._dataset(digest)

    def ListDatasets(
        self, request: dataset_pb2.ListDatasetsRequest, context: grpc.ServicerContext
    ) -> dataset_pb2.ListDatasetsResponse:
        """List all."""
        return dataset_pb2.ListDatasetsResponse(datasets=[self._dataset(digest) for digest in self.contents])


class FakeExport(ExportServiceServicer):
    """Exports two files. Each opened download takes one entry of `breaks`: after how many chunks it drops."""

    def __init__(self) -> None:
        self.files = {"model.onnx": bytes(range(256)) * 20, "tokenizers/review.json": b"{}", "empty.txt": b""}
        self.promised: dict[str, str] = {}
        self.breaks: deque[int | None] = deque()
        self.export_drops = self.watch_drops = 0
        self.watched: list[str] = []
        self.job = export_pb2.ExportJob(
            name="exportJobs/e1",
            model="models/m1",
            format=export_pb2.Artifact.FORMAT_ONNX,
            state=export_pb2.ExportJob.STATE_SUCCEEDED,
            artifact="artifacts/a1",
        )
        self.lengths: dict[str, int] = {}
        """What the server still has of a file whose length it promises in full, by path."""
        self.requests: list[export_pb2.ExportRequest] = []
        self.downloads: list[export_pb2.DownloadArtifactRequest] = []

    def _sha256(self, path: str) -> str:
        return self.promised.get(path) or hashlib.sha256(self.files[path]).hexdigest()

    def _artifact(self) -> export_pb2.Artifact:
        files = [
            export_pb2.ArtifactFile(path=path, size_bytes=len(content), sha256=self._sha256(path))
            for path, content in self.files.items()
        ]
        artifact = export_pb2.Artifact(name="artifacts/a1", model="models/m1", files=files, max_difference=1e-6)
        if self.requests and self.requests[-1].format == export_pb2.Artifact.FORMAT_PREDICTIONS:
            artifact.row_count, artifact.rows_left_out = 7, 2
        return artifact

    def Export(
        self, request: export_pb2.ExportRequest, context: grpc.ServicerContext
    ) -> Iterator[export_pb2.ExportResponse]:
        """Report two steps, then the artifact."""
        self.requests.append(request)
        yield self._step("load", "loading")
        if self.export_drops:
            self.export_drops -= 1
            DROP.abort(context)
        yield self._step("check", "comparing")
        yield export_pb2.ExportResponse(artifact=self._artifact(), export_job=self.job.name)

    def _step(self, stage: str, message: str) -> export_pb2.ExportResponse:
        progress = export_pb2.ExportProgress(stage=stage, message=message)
        return export_pb2.ExportResponse(progress=progress, export_job=self.job.name)

    def WatchExportJob(
        self, request: export_pb2.WatchExportJobRequest, context: grpc.ServicerContext
    ) -> Iterator[export_pb2.WatchExportJobResponse]:
        """Tell that it is checked, then how it ended."""
        self.watched.append(request.name)
        running = export_pb2.ExportJob(name=self.job.name, state=export_pb2.ExportJob.STATE_RUNNING)
        running.progress.CopyFrom(export_pb2.ExportProgress(stage="check", message="comparing"))
        yield export_pb2.WatchExportJobResponse(export_job=running)
        if self.watch_drops:
            self.watch_drops -= 1
            DROP.abort(context)
        yield export_pb2.WatchExportJobResponse(export_job=self.job)

    def CreateExportJob(
        self, request: export_pb2.CreateExportJobRequest, context: grpc.ServicerContext
    ) -> export_pb2.ExportJob:
        """Have it done already."""
        assert (request.model, request.format) == ("models/m1", export_pb2.Artifact.FORMAT_ONNX)
        return self.job

    def GetExportJob(
        self, request: export_pb2.GetExportJobRequest, context: grpc.ServicerContext
    ) -> export_pb2.ExportJob:
        """Read the one."""
        if request.name != self.job.name:
            not_found(request.name).abort(context)
        return self.job

    def ListExportJobs(
        self, request: export_pb2.ListExportJobsRequest, context: grpc.ServicerContext
    ) -> export_pb2.ListExportJobsResponse:
        """List it, for its model."""
        known = request.model in ("", "models/m1")
        return export_pb2.ListExportJobsResponse(export_jobs=[self.job] if known else [])

    def CancelExportJob(
        self, request: export_pb2.CancelExportJobRequest, context: grpc.ServicerContext
    ) -> export_pb2.ExportJob:
        """End it."""
        self.job.state = export_pb2.ExportJob.STATE_CANCELLED
        return self.job

    def GetArtifact(self, request: export_pb2.GetArtifactRequest, context: grpc.ServicerContext) -> export_pb2.Artifact:
        """Read the artifact."""
        assert request.name == "artifacts/a1"
        return self._artifact()

    def DownloadArtifact(
        self, request: export_pb2.DownloadArtifactRequest, context: grpc.ServicerContext
    ) -> Iterator[export_pb2.DownloadArtifactResponse]:
        """Send a file from an offset."""
        self.downloads.append(request)
        content = self.files[request.path]
        limit = self.breaks.popleft() if self.breaks else None
        for sent, offset in enumerate(range(request.offset, len(content), CHUNK)):
            if sent == limit:
                DROP.abort(context)
            kept = self.lengths.get(request.path, len(content))
            yield export_pb2.DownloadArtifactResponse(
                offset=offset,
                data=content[min(offset, kept) : min(offset + CHUNK, kept)],
                size_bytes=len(content),
                sha256=self._sha256(request.path),
            )

    def ListArtifacts(
        self, request: export_pb2.ListArtifactsRequest, context: grpc.ServicerContext
    ) -> export_pb2.ListArtifactsResponse:
        """List the artifact, for its model."""
        known = request.model in ("", "models/m1")
        return export_pb2.ListArtifactsResponse(artifacts=[self._artifact()] if known else [])
