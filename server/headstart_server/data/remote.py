"""Data in an object store: tables and archives are fetched once per version, images are read where they are."""

import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from headstart_server.core.digests import fingerprint
from headstart_server.core.errors import invalid
from headstart_server.core.pruning import mark_used
from headstart_server.core.reasons import Reason
from headstart_server.data.folders import chosen_table, table_named, table_of_folders
from headstart_server.data.formats import Format, format_of
from headstart_server.data.images.decode import BadImageError, ImageLimits, check_bytes
from headstart_server.data.opening import Location, of_folders, open_location
from headstart_server.data.tables import Table
from headstart_server.storage.object_store import ObjectStore, Stored

_LONGEST_NAME = 800
"""Bytes of a path in a cell; object stores take a little more for all of a name."""


@dataclass(frozen=True)
class ObjectStoreFiles:
    """Images below some prefixes of an object store, tried in turn."""

    object_store: ObjectStore
    prefixes: tuple[str, ...]

    def read(self, name: str, limits: ImageLimits) -> bytes:
        """See ImageFiles."""
        if len(name.encode()) > _LONGEST_NAME:
            raise BadImageError(f"{name[:80]!r}... is too long for a path; give one, or the image's bytes")
        for prefix in self.prefixes:
            try:
                # One byte more than allowed tells a file that is too large, however large it is.
                data = self.object_store.read(_joined(prefix, name), 0, limits.max_bytes + 1)
            except FileNotFoundError:
                continue
            check_bytes(len(data), limits)
            return data
        raise BadImageError(
            f"there is no file {name[:200]!r} beside the table or below the data root; add it, or correct the cell"
        )


@dataclass(frozen=True)
class RemoteRoot:
    """A data root in an object store."""

    object_store: ObjectStore

    def format_of(self, path: str, field: str) -> Format:
        """The format of a file, or `folder`; raises InvalidInputError naming `field` where nothing has that name."""
        name = _plain(path, field)
        if self._stored(name) is not None:
            return format_of(PurePosixPath(name).name, field)
        if not self.object_store.files(name):
            raise invalid(field, f"{path[:200]!r} is no file below the data root; check the name")
        return Format.FOLDER

    def size_bytes(self, path: str) -> int:
        """Of a file, or of all below a folder."""
        name = _plain(path, "path")
        stored = self._stored(name)
        return stored.size if stored is not None else sum(file.size for file in self.object_store.files(name).values())

    def open(self, path: str, file_format: Format, table_file: str, cache: Path, field: str) -> Table:
        """The table; what has to be fetched is kept below `cache`. Raises InvalidInputError naming `field`."""
        name = _plain(path, field)
        if file_format is not Format.FOLDER:
            return self._open_file(name, file_format, table_file, cache, field)
        above = f"{name}/" if name else ""
        names = sorted(file.removeprefix(above) for file in self.object_store.files(name))
        member = chosen_table(names, table_file, field)
        if member is None:
            return of_folders(table_of_folders(names, field), ObjectStoreFiles(self.object_store, (name,)), field)
        with table_named(member):
            table = self._open_file(f"{above}{member}", format_of(member, field), "", cache, field, above=name)
        return replace(table, member=member)

    def _open_file(
        self, name: str, file_format: Format, table_file: str, cache: Path, field: str, above: str = ""
    ) -> Table:
        table = open_location(Location(self._fetched(name, cache, field), file_format, table_file), cache, field)
        if file_format in (Format.ZIP, Format.TAR, Format.TGZ):
            return table
        beside = "" if "/" not in name else name.rpartition("/")[0]
        return replace(table, files=ObjectStoreFiles(self.object_store, tuple(dict.fromkeys((beside, above, "")))))

    def _fetched(self, name: str, cache: Path, field: str) -> Path:
        """This version of a file, on this machine."""
        stored = self._stored(name)
        if stored is None:
            raise invalid(field, f"{name[:200]!r} is no file below the data root any more; check the name")
        version = fingerprint({"name": name, "size": stored.size, "modified": stored.modified})
        path = cache / f"fetched-{version}{''.join(PurePosixPath(name).suffixes[-2:])}"
        # Before it is looked for: pruning leaves alone what was used just now.
        mark_used(path)
        if not path.exists():
            self.object_store.fetch(name, path)
        return path

    def _stored(self, name: str) -> Stored | None:
        try:
            return self.object_store.about(name)
        except FileNotFoundError:
            return None


def _plain(path: str, field: str) -> str:
    """A name below the root; refuses what leaves it."""
    if not path or path.startswith("/") or "\0" in path or ".." in path.split("/"):
        message = f"{path[:200]!r} must be a relative path without '..'"
        raise invalid(field, message, reason=Reason.PATH_OUTSIDE_ROOT)
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _joined(prefix: str, name: str) -> str:
    """A cell's path below a prefix; raises BadImageError for one that leaves it."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts or ".." in parts or name.startswith("/") or "\0" in name:
        raise BadImageError(f"the path {name[:200]!r} leaves the data root; give one below its table's folder")
    plain = unicodedata.normalize("NFC", "/".join(parts))
    return f"{prefix}/{plain}" if prefix else plain
