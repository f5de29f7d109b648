"""Where the names in an image column lead: folders below a root, or the members of an archive, read in place."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from headstart_server.core.errors import InvalidInputError
from headstart_server.core.files import resolve_below
from headstart_server.data.archives import Archive
from headstart_server.data.images.decode import BadImageError


class ImageFiles(Protocol):
    """Files by name. Can be sent to another process."""

    def read(self, name: str, most: int) -> bytes:
        """The bytes of a file of at most `most` bytes; raises BadImageError."""


@dataclass(frozen=True)
class FolderFiles:
    """Files below folders, tried in turn; names that leave them are refused, symbolic links too."""

    folders: tuple[Path, ...]

    def read(self, name: str, most: int) -> bytes:
        """See ImageFiles."""
        for folder in self.folders:
            try:
                path = resolve_below(folder, name, "")
            except InvalidInputError as error:
                reason = error.violations[0].message
                raise BadImageError(f"the path {reason}; give one below the folder of the table") from None
            if path.is_file():
                return _read(path, name, most)
        where = "beside the table or below the data root" if self.folders else "(the server has no data root)"
        raise BadImageError(f"there is no file {name[:200]!r} {where}; add it, or correct the cell")


@dataclass(frozen=True)
class ArchiveFiles:
    """Members of an archive, by their path from the table's folder or from the top."""

    archive: Archive
    folder: str

    def read(self, name: str, most: int) -> bytes:
        """See ImageFiles."""
        if ".." in Path(name).parts or name.startswith("/"):
            raise BadImageError(f"the path {name[:200]!r} leaves the archive; give one below its table's folder")
        members: Mapping[str, int] = self.archive.sizes
        plain = name.removeprefix("./")
        for candidate in (f"{self.folder}/{plain}" if self.folder else plain, plain):
            if candidate in members:
                if members[candidate] > most:
                    raise BadImageError(_too_large(members[candidate], most))
                return self._read(candidate)
        raise BadImageError(f"{name[:200]!r} is not in the archive; add it, or correct the cell")

    def _read(self, member: str) -> bytes:
        try:
            return self.archive.read(member)
        except OSError as error:
            raise BadImageError(f"{member[:200]!r} cannot be read ({error}); pack it again") from None


def _read(path: Path, name: str, most: int) -> bytes:
    try:
        size = path.stat().st_size
        if size > most:
            raise BadImageError(_too_large(size, most))
        return path.read_bytes()
    except OSError as error:
        raise BadImageError(f"{name[:200]!r} cannot be read ({error.strerror}); check its permissions") from None


def _too_large(size: int, most: int) -> str:
    return f"the file has {size} bytes, at most {most} are allowed; save it smaller"
