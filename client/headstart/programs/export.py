"""Export a model and bring the artifact home, as one operation that survives dropped streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from headstart.errors import CallCancelled, InvalidArgument, Unavailable
from headstart.programs.download import Received, download_file
from headstart.programs.resources import EXPORT_JOBS
from headstart.programs.retry import Patience, RetryPolicy, persistently
from headstart.v1.export_pb2 import (
    Artifact,
    CreateExportJobRequest,
    ExportJob,
    ExportProgress,
    ExportRequest,
    GetArtifactRequest,
    WatchExportJobRequest,
)
from headstart.values.names import full_name
from headstart.wire.methods import CREATE_EXPORT_JOB, EXPORT, GET_ARTIFACT, WATCH_EXPORT_JOB
from headstart.wire.rpc_errors import error_from_status
from headstart.wire.steps import Emit, Flow, Program, call, open_stream, read

FORMATS = {"onnx": Artifact.FORMAT_ONNX, "torchscript": Artifact.FORMAT_TORCHSCRIPT}
ENDED = frozenset({ExportJob.STATE_SUCCEEDED, ExportJob.STATE_FAILED, ExportJob.STATE_CANCELLED})

OnProgress: TypeAlias = Callable[[ExportProgress], None]


@dataclass(frozen=True)
class Exported:
    """An artifact and where its files are.

    Attributes:
        artifact: as the server describes it.
        files: local paths, in the artifact's order; empty where it was not downloaded.
    """

    artifact: Artifact
    files: tuple[Path, ...] = ()


def export_request(model: str, format: str, head_only: bool) -> ExportRequest:
    """Return the request.

    Raises:
        InvalidArgument: an unknown format.
    """
    if format not in FORMATS:
        raise InvalidArgument(f"format {format!r} is unknown; use one of {', '.join(FORMATS)}", reason="UNKNOWN_FORMAT")
    return ExportRequest(model=model, format=FORMATS[format], head_only=head_only)


def export(request: ExportRequest, policy: RetryPolicy, on_progress: OnProgress | None = None) -> Program[Artifact]:
    """Export and return the artifact; after a dropped stream the export job, which goes on meanwhile, is watched."""
    following = _Following(request, on_progress)
    found = yield from persistently(following.attempt, policy)
    # raised here: why a job has failed may look like a connection that broke, and its end does not change
    return found if isinstance(found, Artifact) else (yield from _artifact_of(found))


class _Following:
    """How far an export has been followed."""

    def __init__(self, request: ExportRequest, on_progress: OnProgress | None) -> None:
        self._request, self._on_progress = request, on_progress
        self._job = ""
        self._told: ExportProgress | None = None

    def attempt(self, patience: Patience) -> Program[Artifact | ExportJob]:
        """Follow to the artifact, by the job where it is known; return a job that has ended without one."""
        if self._job:
            return (yield from self._watched(patience))
        stream = yield from open_stream(EXPORT, self._request)
        while (event := (yield from read(stream))) is not None:
            # Not `progress`: an attempt that is repeated tells the same steps again.
            patience.reached()
            self._job = event.export_job
            if event.HasField("artifact"):
                return event.artifact
            self._tell(event.progress)
        raise Unavailable("the server closed the stream before the artifact was ready")

    def _watched(self, patience: Patience) -> Program[Artifact | ExportJob]:
        stream = yield from open_stream(WATCH_EXPORT_JOB, WatchExportJobRequest(name=self._job))
        while (event := (yield from read(stream))) is not None:
            patience.reached()
            if (job := event.export_job).state in ENDED:
                return (yield from _artifact_of(job)) if job.state == ExportJob.STATE_SUCCEEDED else job
            self._tell(job.progress)
        raise Unavailable("the server closed the stream before the export had ended")

    def _tell(self, progress: ExportProgress) -> None:
        if self._on_progress is not None and progress != self._told:
            self._on_progress(progress)
        self._told = progress


def create_export(request: ExportRequest) -> Program[ExportJob]:
    """Create an export job, or find the one that is being made, without following it."""
    predictions = request.predictions if request.HasField("predictions") else None
    wanted = CreateExportJobRequest(
        model=request.model, format=request.format, head_only=request.head_only, predictions=predictions
    )
    return (yield from call(CREATE_EXPORT_JOB, wanted))


def watch_export(name: str, policy: RetryPolicy) -> Flow[ExportJob]:
    """Emit an export job as it is, and after each change, to its end, over dropped streams."""
    name, last = full_name(EXPORT_JOBS.collection, name), ExportJob()

    def attempt(patience: Patience) -> Flow[ExportJob]:
        nonlocal last
        stream = yield from open_stream(WATCH_EXPORT_JOB, WatchExportJobRequest(name=name))
        while (event := (yield from read(stream))) is not None:
            patience.reached()
            if event.export_job != last:
                patience.progress()
                last = event.export_job
                yield Emit(last)
        if last.state not in ENDED:
            raise Unavailable("the server closed the stream before the export had ended")

    yield from persistently(attempt, policy)


def _artifact_of(job: ExportJob) -> Program[Artifact]:
    """Return what a job that has ended has made, or raise why it has not."""
    if job.state == ExportJob.STATE_FAILED:
        raise error_from_status(job.error)
    if job.state == ExportJob.STATE_CANCELLED:
        raise CallCancelled(f"{job.name} was cancelled", reason="CANCELLED")
    return (yield from call(GET_ARTIFACT, GetArtifactRequest(name=job.artifact)))


def download(
    artifact: Artifact, directory: Path, policy: RetryPolicy, received: Received | None = None
) -> Program[Exported]:
    """Download every file of an artifact into a directory."""
    files = []
    for file in artifact.files:
        files.append((yield from download_file(artifact.name, file, directory, policy, received)))
    return Exported(artifact, tuple(files))


def export_to(
    request: ExportRequest,
    directory: Path | None,
    policy: RetryPolicy,
    on_progress: OnProgress | None = None,
    received: Received | None = None,
) -> Program[Exported]:
    """Export and, where a directory is given, download."""
    artifact = yield from export(request, policy, on_progress)
    if directory is None:
        return Exported(artifact)
    return (yield from download(artifact, directory, policy, received))
