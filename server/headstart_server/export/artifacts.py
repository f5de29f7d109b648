"""Exported artifacts on disk: a folder of files each, with its description."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headstart_server.core.errors import NotFoundError, OutOfRangeError
from headstart_server.core.files import resolve_below, write_json
from headstart_server.storage.folders import SharedFolders

_DESCRIPTION = ".artifact.json"


@dataclass(frozen=True)
class ArtifactFile:
    """One file: its path within the artifact, size in bytes and SHA-256."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Artifact:
    """A published artifact."""

    identifier: str
    model: str
    format: str
    head_only: bool
    create_time: str
    files: list[ArtifactFile]
    max_difference: float


def artifact_of(values: dict[str, Any]) -> Artifact:
    """The artifact that `dataclasses.asdict` described."""
    return Artifact(**{**values, "files": [ArtifactFile(**file) for file in values["files"]]})


class ArtifactRegistry:
    """All artifacts, this machine's and others'."""

    def __init__(self, folders: SharedFolders) -> None:
        self.folders = folders

    def get(self, identifier: str) -> Artifact:
        """One artifact; raises NotFoundError."""
        try:
            values = json.loads(self.folders.read(identifier, _DESCRIPTION))
        except FileNotFoundError:
            raise _missing(identifier) from None
        return artifact_of(values)

    def all(self) -> Iterator[Artifact]:
        """Every artifact, newest first."""
        for name in reversed(self.folders.names()):
            with suppress(NotFoundError):  # deleted meanwhile
                yield self.get(name)

    def find(self, model: str, file_format: str, *, head_only: bool) -> Artifact | None:
        """The artifact of a model in a format, if there is one."""
        wanted = (model, file_format, head_only)
        return next((item for item in self.all() if (item.model, item.format, item.head_only) == wanted), None)

    def file(self, identifier: str, path: str, offset: int) -> tuple[Path, ArtifactFile]:
        """A file of an artifact; raises NotFoundError, or OutOfRangeError for an offset past its end."""
        artifact = self.get(identifier)
        found = next((file for file in artifact.files if file.path == path), None)
        if found is None:
            known = ", ".join(file.path for file in artifact.files)
            raise NotFoundError(f"artifacts/{identifier} has no file {path[:200]!r}; it has {known}", field="path")
        if not 0 <= offset <= found.size_bytes:
            raise OutOfRangeError(f"offset {offset} is outside the file's {found.size_bytes} bytes", field="offset")
        try:
            return resolve_below(self.folders.path(identifier), path, "path"), found
        except FileNotFoundError:
            raise _missing(identifier) from None

    def publish(self, identifier: str) -> AbstractContextManager[Path]:
        """A folder to write an artifact and its description into, which is published on success."""
        return self.folders.publish(identifier)

    def abandon(self, identifier: str) -> None:
        """Removes what is half written of an artifact whose publisher was killed."""
        self.folders.abandon(identifier)

    def describe(self, folder: Path, artifact: Artifact) -> None:
        """Writes the description into a folder that is about to be published."""
        write_json(folder / _DESCRIPTION, asdict(artifact))

    def delete(self, identifier: str) -> None:
        """Deletes an artifact, which is gone at once; a download that has begun goes on."""
        try:
            self.folders.remove(identifier)
        except FileNotFoundError:
            raise _missing(identifier) from None


def _missing(identifier: str) -> NotFoundError:
    return NotFoundError(f"artifacts/{identifier} does not exist; ListArtifacts lists those that do", field="name")
