"""Where a job's tables are: values that can be stored, sent to another machine, and opened there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.reasons import Reason
from headstart_server.data.formats import Format
from headstart_server.data.opening import Location, open_location
from headstart_server.data.remote import RemoteRoot
from headstart_server.data.tables import Sources, Table
from headstart_server.data.verified import verified_file, verified_upload
from headstart_server.storage.object_store import object_store_at
from headstart_server.storage.storage import Storage


@dataclass(frozen=True)
class SourceRecord:
    """One table of a job: its role in the request, where its file lies, and its format."""

    role: str
    path: str
    format: str
    dataset: str = ""
    """Id of the uploaded data set, if it is one."""
    table_file: str = ""
    """The table within an archive or folder."""
    folders: list[str] = field(default_factory=list)
    """Where the paths in its image columns may lead."""
    root: str = ""
    """URL of the data root that the path lies below, if that is no folder."""
    shared: str = ""
    """Name in the shared storage, of a table that came with the request."""
    sha256: str = ""
    """Digest of a file that was sent to the server, with the request or before; empty for files of a data root."""
    given: str = ""
    """The path as the request had it, of a file of the data root."""

    def open(self, storage: Storage) -> Table:
        """The table.

        Raises InvalidInputError, FailedPreconditionError where this machine cannot get at it, or DataLossError where
        its file is not the one that was sent.
        """
        cache, file_format = storage.layout.tables, Format(self.format)
        if self.root:
            return remote_root(self.root).open(self.path, file_format, self.table_file, cache, self.role)
        folders = tuple(map(Path, self.folders))
        return open_location(Location(self._file(storage), file_format, self.table_file, folders), cache, self.role)

    def size_bytes(self) -> int:
        """Of the file, or of all files below the folder."""
        if self.root:
            return remote_root(self.root).size_bytes(self.path)
        path = Path(self.path)
        if not path.is_dir():
            return path.stat().st_size
        return sum(found.stat().st_size for found in path.rglob("*") if found.is_file())

    def _file(self, storage: Storage) -> Path:
        """On this machine, with the bytes that were sent."""
        try:
            if self.dataset and self.sha256:
                return verified_upload(storage.datasets, self.dataset, f"data.{self.format}", self.sha256)
            path = self._unverified(storage)
        except FileNotFoundError:
            raise self._gone() from None
        if not path.exists():
            raise self._gone()
        return verified_file(path, self.sha256, self.role, "start the job again") if self.sha256 else path

    def _unverified(self, storage: Storage) -> Path:
        if storage.object_store is not None:
            if self.dataset:
                return storage.datasets.path(self.dataset) / f"data.{self.format}"
            if self.shared and not Path(self.path).exists():
                return storage.fetched(self.shared)
        return Path(self.path)

    def _gone(self) -> FailedPreconditionError:
        return FailedPreconditionError(
            f"{self.role}: its file is not on this machine; put the data where all machines see it (an upload with "
            "--storage-url, a data root by URL, or a directory that all of them mount)",
            reason=Reason.DATA_NOT_HERE,
            field=self.role,
        )


def open_sources(records: list[SourceRecord], storage: Storage) -> Sources:
    """All tables of a job."""
    return Sources(tuple(record.open(storage) for record in records), tuple(record.role for record in records))


def lineage(records: Sequence[SourceRecord], rows: Mapping[str, int]) -> list[dict[str, Any]]:
    """What people may know of a job's tables, as JSON has it; `rows` are counted by role, as far as they are known."""
    return [
        {
            "role": record.role,
            "dataset": record.dataset,
            "path": record.given,
            "table_file": record.table_file,
            "row_count": rows.get(record.role),
            "sha256": record.sha256 if record.dataset else "",
        }
        for record in records
    ]


@lru_cache(maxsize=16)
def remote_root(url: str) -> RemoteRoot:
    """The data root at a URL."""
    return RemoteRoot(object_store_at(url, "data_root"))
