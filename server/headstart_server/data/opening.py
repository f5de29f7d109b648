"""Opens a job's data wherever it is: a table, or an archive or folder with a table and images, or with images alone."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pyarrow as pa

from headstart_server.core.cached_files import is_sound, seal
from headstart_server.core.digests import file_digest
from headstart_server.core.errors import invalid
from headstart_server.core.files import published_file
from headstart_server.core.reasons import Reason
from headstart_server.data.archives import Archive, open_archive
from headstart_server.data.folders import SPLIT_COLUMN, chosen_table, listed, table_named, table_of_folders
from headstart_server.data.formats import ARCHIVES, Format, format_of
from headstart_server.data.images.files import ArchiveFiles, FolderFiles, ImageFiles
from headstart_server.data.tables import Table, open_table, table_of_arrow


@dataclass(frozen=True)
class Location:
    """Where a table is, and what it may refer to."""

    path: Path
    format: Format
    table_file: str = ""
    """The table within an archive or folder that holds several."""
    folders: tuple[Path, ...] = ()
    """Where the paths in its image columns may lead, beside the archive or folder itself."""


def open_location(location: Location, cache: Path, field: str) -> Table:
    """The table with the files that its image columns may name; raises InvalidInputError naming `field`.

    What has to be converted, extracted or indexed is kept below `cache`.
    """
    if location.format in ARCHIVES:
        return _open_archive(location, cache, field)
    if location.format is Format.FOLDER:
        return _open_folder(location, cache, field)
    table = open_table(location.path, location.format, cache, field)
    return replace(table, files=FolderFiles(location.folders))


def _open_archive(location: Location, cache: Path, field: str) -> Table:
    archive = open_archive(location.path, location.format, cache, field)
    names = archive.names
    member = chosen_table(names, location.table_file, field)
    if member is None:
        return of_folders(table_of_folders(names, field), ArchiveFiles(archive, ""), field)
    extracted = _extracted(archive, member, cache, field)
    table = _open_member(extracted, member, cache, field)
    folder = str(PurePosixPath(member).parent)
    return replace(table, files=ArchiveFiles(archive, "" if folder == "." else folder))


def _open_folder(location: Location, cache: Path, field: str) -> Table:
    names = listed(location.path, field)
    member = chosen_table(names, location.table_file, field)
    if member is None:
        return of_folders(table_of_folders(names, field), FolderFiles((location.path,)), field)
    path = location.path / member
    table = _open_member(path, member, cache, field)
    # They are tried in this order: what lies beside the table comes first.
    return replace(table, files=FolderFiles((path.parent, location.path, *location.folders)))


def _open_member(path: Path, member: str, cache: Path, field: str) -> Table:
    """The table of an archive or folder, which errors name."""
    with table_named(member):
        return replace(open_table(path, format_of(member, field), cache, field), member=member)


def of_folders(rows: pa.Table, files: ImageFiles, field: str) -> Table:
    """The table of a folder of images, one row each."""
    table = table_of_arrow(rows, field)
    return replace(table, files=files, split_column=SPLIT_COLUMN if SPLIT_COLUMN in rows.column_names else "")


def _extracted(archive: Archive, member: str, cache: Path, field: str) -> Path:
    """The archive's table as a file of its own."""
    # A member's name may hold anything, so it is only a part of what is hashed.
    name = hashlib.sha256(f"{file_digest(archive.path)} {member}".encode()).hexdigest()
    target = cache / f"{name}{PurePosixPath(member).suffix}"
    if not is_sound(target):
        try:
            with published_file(target) as temporary:
                archive.extract(member, temporary)
            seal(target)
        except OSError as error:
            message = f"its table {member[:200]!r} is damaged ({error.strerror or error}); pack it again"
            raise invalid(field, message, reason=Reason.UNREADABLE_DATA) from error
    return target
