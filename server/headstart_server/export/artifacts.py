"""Exported artifacts on disk: a folder of files each, with its description."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headstart_server.core.descriptions import damaged_description, read_description, write_description
from headstart_server.core.digests import file_digest
from headstart_server.core.errors import DataLossError, NotFoundError, OutOfRangeError
from headstart_server.core.files import resolve_below
from headstart_server.storage.folders import SharedFolders
from headstart_server.storage.listing import SoundResources

_DESCRIPTION = ".artifact.json"
_REMEDY = "delete it and export again"


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
    order: str = ""
    """Of predictions: the digest of what was asked for."""
    row_count: int = 0
    rows_left_out: int = 0
    """Of predictions: rows that could not be read."""


def files_of(folder: Path) -> list[ArtifactFile]:
    """What a folder that is about to be published holds."""
    return [
        ArtifactFile(str(file.relative_to(folder)), file.stat().st_size, file_digest(file))
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    ]


def artifact_of(values: dict[str, Any]) -> Artifact:
    """The artifact that `dataclasses.asdict` described."""
    return Artifact(**{**values, "files": [ArtifactFile(**file) for file in values["files"]]})


class ArtifactRegistry:
    """All artifacts, this machine's and others'."""

    def __init__(self, folders: SharedFolders) -> None:
        self.folders = folders
        self._sound = SoundResources("artifacts")

    def get(self, identifier: str) -> Artifact:
        """One artifact; raises NotFoundError, or DataLossError where its description is damaged."""
        name = f"artifacts/{identifier}"
        try:
            values = read_description(self.folders.read(identifier, _DESCRIPTION), name, _REMEDY)
            return artifact_of(values)
        except FileNotFoundError:
            if identifier in self.folders:
                raise damaged_description(name, _REMEDY) from None
            raise _missing(identifier) from None
        except (TypeError, LookupError) as error:  # from a release that wrote no digest
            raise damaged_description(name, _REMEDY) from error

    def all(self) -> Iterator[Artifact]:
        """Every artifact whose description is sound, newest first."""
        return self._sound.read(reversed(self.folders.names()), self.get)

    def find(self, model: str, file_format: str, *, head_only: bool, order: str = "") -> Artifact | None:
        """The artifact of a model in a format, if there is one whose files are all sound; see `Artifact.order`."""
        wanted = (model, file_format, head_only, order)
        found = (item for item in self.all() if (item.model, item.format, item.head_only, item.order) == wanted)
        return next((item for item in found if self._is_sound(item)), None)

    def _is_sound(self, artifact: Artifact) -> bool:
        try:
            for file in artifact.files:
                self.file(artifact.identifier, file.path, 0)
        except (NotFoundError, DataLossError):
            return False
        return True

    def file(self, identifier: str, path: str, offset: int) -> tuple[Path, ArtifactFile]:
        """A file of an artifact; its bytes verified.

        Raises NotFoundError, OutOfRangeError for an offset past its end, or DataLossError for a damaged file.
        """
        artifact = self.get(identifier)
        found = next((file for file in artifact.files if file.path == path), None)
        if found is None:
            known = ", ".join(file.path for file in artifact.files)
            raise NotFoundError(f"artifacts/{identifier} has no file {path[:200]!r}; it has {known}", field="path")
        if not 0 <= offset <= found.size_bytes:
            raise OutOfRangeError(f"offset {offset} is outside the file's {found.size_bytes} bytes", field="offset")
        try:
            file = resolve_below(self.folders.path(identifier), path, "path")
        except FileNotFoundError:
            raise _missing(identifier) from None
        self._verify(file, found, identifier)
        return file, found

    def _verify(self, file: Path, described: ArtifactFile, identifier: str) -> None:
        """Raises DataLossError where the bytes are not those that were published, NotFoundError where all are gone."""
        try:
            sound = file.stat().st_size == described.size_bytes and file_digest(file) == described.sha256
        except (FileNotFoundError, IsADirectoryError):
            if identifier not in self.folders:
                raise _missing(identifier) from None
            sound = False
        if not sound:
            raise DataLossError(
                f"artifacts/{identifier} is damaged: {described.path} is not what was exported; {_REMEDY}", field="path"
            )

    def publish(self, identifier: str) -> AbstractContextManager[Path]:
        """A folder to write an artifact and its description into, which is published on success."""
        return self.folders.publish(identifier)

    def abandon(self, identifier: str) -> None:
        """Removes what is half written of an artifact whose publisher was killed."""
        self.folders.abandon(identifier)

    def describe(self, folder: Path, artifact: Artifact) -> None:
        """Writes the description into a folder that is about to be published."""
        write_description(folder / _DESCRIPTION, asdict(artifact))

    def delete(self, identifier: str) -> None:
        """Deletes an artifact, which is gone at once; a download that has begun goes on."""
        try:
            self.folders.remove(identifier)
        except FileNotFoundError:
            raise _missing(identifier) from None


def _missing(identifier: str) -> NotFoundError:
    return NotFoundError(f"artifacts/{identifier} does not exist; ListArtifacts lists those that do", field="name")
