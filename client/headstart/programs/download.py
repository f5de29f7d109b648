"""Download an artifact's file from where a dropped stream or an earlier run stopped, verified before it counts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from headstart.errors import DataLoss, Unavailable
from headstart.files.content import FileContent, digest_of
from headstart.programs.retry import Patience, RetryPolicy, persistently
from headstart.v1.export_pb2 import ArtifactFile, DownloadArtifactRequest
from headstart.wire.methods import DOWNLOAD_ARTIFACT
from headstart.wire.steps import Program, compute, open_stream, read

Received = Callable[[str, int], None]
"""Called with a file's path and how many of its bytes are here."""


def download_file(
    artifact: str, file: ArtifactFile, directory: Path, policy: RetryPolicy, received: Received | None = None
) -> Program[Path]:
    """Write the file below `directory` and return its path. It has its name only once its bytes are verified.

    Raises:
        DataLoss: the bytes are not those that the artifact promises; nothing is left behind.
        OSError: the disk is full, or the directory cannot be written.
    """
    target = _inside(directory, file.path)
    if (yield from compute(lambda: target.is_file() and digest_of(FileContent(target)) == file.sha256)):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    # By digest, so that a part of other bytes under the same name is never continued.
    partial = target.with_name(f".{target.name}.{file.sha256[:16]}.part")
    resumed = partial.is_file() and partial.stat().st_size > 0
    # What an earlier run left may be spoilt: then the file is fetched once more from its beginning.
    if resumed and not (yield from _complete(artifact, file, partial, policy, received)):
        resumed = False
        partial.unlink()
    if not resumed and not (yield from _complete(artifact, file, partial, policy, received)):
        partial.unlink()
        raise DataLoss(f"{artifact}: {file.path} arrived with another SHA-256 than {file.sha256}; nothing was kept")
    partial.replace(target)
    return target


def _inside(directory: Path, path: str) -> Path:
    """Return the file's place, refusing paths that would leave the directory whatever the server says."""
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or "\\" in path or ":" in path or PurePosixPath(path).is_absolute():
        raise DataLoss(f"the artifact names a file {path!r}, which would lie outside the output directory")
    return directory.joinpath(*parts)


def _complete(
    artifact: str, file: ArtifactFile, partial: Path, policy: RetryPolicy, received: Received | None
) -> Program[bool]:
    """Append what is missing to the partial file and tell whether its bytes are the promised ones."""
    try:
        yield from persistently(lambda patience: _append(artifact, file, partial, patience, received), policy)
    except DataLoss:
        partial.unlink(missing_ok=True)
        raise
    return (yield from compute(lambda: digest_of(FileContent(partial)) == file.sha256))


def _append(
    artifact: str, file: ArtifactFile, partial: Path, patience: Patience, received: Received | None
) -> Program[None]:
    with partial.open("ab") as sink:
        position = sink.tell()
        if position >= file.size_bytes:
            return
        request = DownloadArtifactRequest(name=artifact, path=file.path, offset=position)
        stream = yield from open_stream(DOWNLOAD_ARTIFACT, request)
        while (chunk := (yield from read(stream))) is not None:
            if chunk.offset != position:
                raise DataLoss(f"{artifact}: {file.path} continues at byte {chunk.offset}, expected {position}")
            if not 0 < len(chunk.data) <= file.size_bytes - position:  # what brings nothing is no progress
                what = "ends there on the server" if not chunk.data else f"goes on for {len(chunk.data)} bytes more"
                raise DataLoss(
                    f"{artifact}: at byte {position} of {file.size_bytes}, {file.path} {what}; delete the artifact and "
                    "export again"
                )
            yield from compute(functools.partial(sink.write, chunk.data))
            position += len(chunk.data)
            patience.progress()
            if received is not None:
                received(file.path, position)
    if position < file.size_bytes:
        raise Unavailable(f"{file.path} ended at byte {position} of {file.size_bytes}")
