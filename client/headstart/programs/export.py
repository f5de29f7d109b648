"""Export a model and bring the artifact home, as one operation that survives dropped streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from headstart.errors import InvalidArgument, Unavailable
from headstart.programs.download import Received, download_file
from headstart.programs.retry import Patience, RetryPolicy, persistently
from headstart.v1.export_pb2 import Artifact, ExportProgress, ExportRequest
from headstart.wire.methods import EXPORT
from headstart.wire.steps import Program, open_stream, read

FORMATS = {"onnx": ExportRequest.FORMAT_ONNX, "torchscript": ExportRequest.FORMAT_TORCHSCRIPT}

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
    """Export and return the artifact; a dropped stream asks again, which finds the artifact or the work done so far."""

    def attempt(patience: Patience) -> Program[Artifact]:
        stream = yield from open_stream(EXPORT, request)
        while (event := (yield from read(stream))) is not None:
            # Not `progress`: an attempt that is repeated tells the same steps again.
            patience.reached()
            if event.HasField("artifact"):
                return event.artifact
            if on_progress is not None:
                on_progress(event.progress)
        raise Unavailable("the server closed the stream before the artifact was ready")

    return (yield from persistently(attempt, policy))


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
