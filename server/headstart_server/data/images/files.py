"""Where the names in an image column lead: folders below a root, or the members of an archive, read in place."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from headstart_server.core.errors import InvalidInputError
from headstart_server.core.files import resolve_below
from headstart_server.data.archive_index import plain_name
from headstart_server.data.archives import Archive
from headstart_server.data.images.decode import BadImageError, ImageLimits, check_bytes

_AT_ONCE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
"""A pipe is opened without waiting for somebody to write into it."""


class ImageFiles(Protocol):
    """Files by name. Can be sent to another process."""

    def read(self, name: str, limits: ImageLimits) -> bytes:
        """The bytes of a file within limits; raises BadImageError."""


@dataclass(frozen=True)
class FolderFiles:
    """Files below folders, tried in turn; names that leave them are refused, symbolic links too."""

    folders: tuple[Path, ...]

    def read(self, name: str, limits: ImageLimits) -> bytes:
        """See ImageFiles."""
        for folder in self.folders:
            try:
                path = resolve_below(folder, name, "")
            except InvalidInputError as error:
                reason = error.violations[0].message
                raise BadImageError(f"the path {reason}; give one below the folder of the table") from None
            if path.exists():
                return _read(path, name, limits)
        if not self.folders:
            raise BadImageError(
                f"there is no file {name[:200]!r}, for the table came alone; send an archive of the table and its "
                "images, or the images as bytes"
            )
        raise BadImageError(
            f"there is no file {name[:200]!r} beside the table or below the data root; add it, or correct the cell"
        )


@dataclass(frozen=True)
class ArchiveFiles:
    """Members of an archive, by their path from the table's folder or from the top."""

    archive: Archive
    folder: str

    def read(self, name: str, limits: ImageLimits) -> bytes:
        """See ImageFiles."""
        plain = plain_name(name)
        if ".." in plain.split("/") or plain.startswith("/"):
            raise BadImageError(f"the path {name[:200]!r} leaves the archive; give one below its table's folder")
        for candidate in (f"{self.folder}/{plain}" if self.folder else plain, plain):
            size = self.archive.size(candidate)
            if size is not None:
                # By the index's size, before anything is inflated.
                check_bytes(size, limits)
                return self._read(candidate)
        raise BadImageError(f"{name[:200]!r} is not in the archive; add it, or correct the cell")

    def _read(self, member: str) -> bytes:
        try:
            return self.archive.read(member)
        except OSError as error:
            raise BadImageError(f"{member[:200]!r} cannot be read ({error.strerror or error}); pack it again") from None


def _read(path: Path, name: str, limits: ImageLimits) -> bytes:
    """A regular file's bytes; what else lies there is never waited for."""
    try:
        descriptor = os.open(path, _AT_ONCE)
        try:
            # Of the open file, not of the path: what is checked is what is read.
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                kind = "a folder" if stat.S_ISDIR(about.st_mode) else "a special file"
                raise BadImageError(f"{name[:200]!r} is {kind}, not an image file; correct the cell")
            check_bytes(about.st_size, limits)
            return os.read(descriptor, about.st_size)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise BadImageError(f"{name[:200]!r} cannot be read ({error.strerror}); check its permissions") from None
