"""Uploaded data sets on disk: one folder each with the file and its description."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from weakref import WeakValueDictionary

import structlog

from headstart_server.core.descriptions import damaged_description, read_description, write_description
from headstart_server.core.errors import (
    DataLossError,
    InvalidInputError,
    NotFoundError,
    QuotaError,
    StoreFullError,
    TooLargeError,
    invalid,
)
from headstart_server.core.files import link_or_copy
from headstart_server.core.names import new_id
from headstart_server.data.archives import open_archive
from headstart_server.data.folders import tables_among
from headstart_server.data.formats import ARCHIVES, Format, format_of
from headstart_server.data.opening import Location, open_location
from headstart_server.data.received import ReceivedFile, ReceivedFiles
from headstart_server.data.verified import verified_upload
from headstart_server.storage.folders import SharedFolders
from headstart_server.storage.listing import SoundResources

_log = structlog.get_logger()
_DESCRIPTION = "dataset.json"
_REMEDY = "delete it and upload the file again"
MAX_CHUNK_BYTES = 2 << 20


@dataclass(frozen=True)
class Dataset:
    """An uploaded file."""

    identifier: str
    display_name: str
    format: str
    size_bytes: int
    sha256: str
    create_time: str
    row_count: int
    columns: list[str]
    table_files: list[str] = field(default_factory=list)
    """The tables within an archive; where there are several, there are no `row_count` and `columns`."""


@dataclass(frozen=True)
class Announced:
    """What is said of a file before it comes."""

    display_name: str
    format: Format
    sha256: str
    """Empty: unknown."""
    upload_id: str
    """Empty: it cannot be gone on with."""


class Uploads:
    """All uploaded data sets, to this machine and to others. Equal bytes in equal formats are kept once."""

    def __init__(self, folders: SharedFolders, tables: Path, max_bytes: int) -> None:
        self._folders, self._tables, self.max_bytes = folders, tables, max_bytes
        self.received = ReceivedFiles(folders.root)
        self._sound = SoundResources("datasets")
        self._publishing: WeakValueDictionary[tuple[str, str], threading.Lock] = WeakValueDictionary()
        """By SHA-256 and format, of what is being published."""
        self._lock = threading.Lock()
        self._digests: dict[str, tuple[str, str]] = {}
        """(SHA-256, format) by id."""

    def format_of(self, display_name: str, file_format: str) -> Format:
        """The format that an upload is in; raises InvalidInputError where neither the one nor the other says it."""
        return format_of(f"data.{file_format}" if file_format else display_name, "header.format")

    def receive(
        self, display_name: str, file_format: str, sha256: str, upload_id: str = "", offset: int = 0
    ) -> "Upload":
        """Begins an upload, or goes on with one from an offset; raises InvalidInputError as `format_of`, or
        OutOfRangeError where less of it is here."""
        chosen = self.format_of(display_name, file_format)
        announced = Announced(display_name, chosen, sha256.lower(), upload_id)
        return Upload(self, announced, self.received.begin(upload_id, offset))

    def get(self, identifier: str) -> Dataset:
        """One data set; raises NotFoundError, or DataLossError where its description is damaged."""
        name = f"datasets/{identifier}"
        try:
            values = read_description(self._folders.read(identifier, _DESCRIPTION), name, _REMEDY)
            return Dataset(**values)
        except FileNotFoundError:
            if identifier in self._folders:
                raise damaged_description(name, _REMEDY) from None
            raise _missing(identifier) from None
        except TypeError as error:  # from a release that wrote no digest
            raise damaged_description(name, _REMEDY) from error

    def require(self, identifier: str) -> None:
        """Raises NotFoundError for a data set that does not exist; a damaged one does."""
        if identifier not in self._folders:
            raise _missing(identifier)

    def path(self, dataset: Dataset) -> Path:
        """Where its file lies; raises NotFoundError where it was deleted meanwhile."""
        try:
            return self._folders.path(dataset.identifier) / f"data.{dataset.format}"
        except FileNotFoundError:
            raise _missing(dataset.identifier) from None

    def all(self) -> Iterator[Dataset]:
        """Every data set whose description is sound, newest first."""
        return self._sound.read(reversed(self._folders.names()), self.get)

    def find(self, sha256: str, file_format: Format | None = None) -> Dataset | None:
        """The data set with these bytes, which are still there; None where there is none, or only a damaged one."""
        return next((item for item in self._named(sha256, file_format) if self._is_sound(item)), None)

    def _named(self, sha256: str, file_format: Format | None) -> Iterator[Dataset]:
        """Data sets that were uploaded with these bytes, newest first; each description is indexed once."""
        names = self._folders.names()
        for name in set(names) - self._digests.keys():
            with suppress(NotFoundError, DataLossError):  # `all` says what is wrong with it
                dataset = self.get(name)
                self._digests[name] = (dataset.sha256, dataset.format)
        for name in reversed(names):
            digest, stored_format = self._digests.get(name, ("", ""))
            if digest == sha256 and file_format in (None, stored_format):
                with suppress(NotFoundError, DataLossError):  # deleted or damaged meanwhile
                    yield self.get(name)

    def _is_sound(self, dataset: Dataset) -> bool:
        try:
            verified_upload(self._folders, dataset.identifier, f"data.{dataset.format}", dataset.sha256)
        except (FileNotFoundError, DataLossError):
            return False
        return True

    def delete(self, identifier: str) -> None:
        """Deletes a data set, damaged or not; raises NotFoundError."""
        try:
            self._folders.remove(identifier)
        except FileNotFoundError:
            raise _missing(identifier) from None

    def publish(
        self,
        received: Path,
        display_name: str,
        file_format: Format,
        sha256: str,
        check: Callable[[Dataset], None] = lambda dataset: None,
    ) -> Dataset:
        """Checks a received file and gives it a name; raises InvalidInputError if it cannot be read.

        `check` is asked about a data set that is new, and may raise to refuse it.

        Where there is a data set of these bytes, that one is returned, mended where its own file is damaged.
        """
        with self._lock:
            alone = self._publishing.setdefault((sha256, file_format), threading.Lock())
        # what is sent again while the first is still read waits for it, and is no second data set
        with alone:
            for known in self._named(sha256, file_format):
                if not self._is_sound(known):
                    self._mend(known, received)
                return known
            return self._publish(received, display_name, file_format, sha256, check)

    def _publish(
        self,
        received: Path,
        display_name: str,
        file_format: Format,
        sha256: str,
        check: Callable[[Dataset], None],
    ) -> Dataset:
        files = self._table_files(received, file_format)
        rows, columns = self._shape(received, file_format) if len(files) < 2 else (0, [])
        dataset = Dataset(
            identifier=new_id(),
            display_name=display_name,
            format=file_format.value,
            size_bytes=received.stat().st_size,
            sha256=sha256,
            create_time=datetime.now(UTC).isoformat(),
            row_count=rows,
            columns=columns,
            table_files=files,
        )
        check(dataset)
        with self._folders.publish(dataset.identifier) as folder:
            link_or_copy(received, folder / f"data.{file_format}")
            write_description(folder / _DESCRIPTION, asdict(dataset))
        return dataset

    def _mend(self, dataset: Dataset, received: Path) -> None:
        """Puts the right bytes in the place of a damaged data set's file; its name and description stay."""
        with self._folders.renew(dataset.identifier) as folder:
            link_or_copy(received, folder / f"data.{dataset.format}")
            write_description(folder / _DESCRIPTION, asdict(dataset))
        _log.warning("mended a damaged data set", dataset=dataset.identifier)

    def _table_files(self, received: Path, file_format: Format) -> list[str]:
        if file_format not in ARCHIVES:
            return []
        return tables_among(open_archive(received, file_format, self._tables, "dataset").names)

    def _shape(self, received: Path, file_format: Format) -> tuple[int, list[str]]:
        table = open_location(Location(received, file_format), self._tables, "dataset")
        return table.row_count, table.columns


_LASTING = (InvalidInputError, TooLargeError, QuotaError, StoreFullError)
"""What is wrong with a file stays wrong, and where there is no room nothing is kept; all else may pass."""


class Upload:
    """A file on its way in. Use as a context; `finish` publishes it, leaving without that discards it, unless it can be
    gone on with and nothing was wrong with it."""

    def __init__(self, uploads: Uploads, announced: Announced, file: ReceivedFile) -> None:
        self._uploads, self._announced, self._file = uploads, announced, file

    def __enter__(self) -> "Upload":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        broken = error is not None and not isinstance(error, _LASTING)
        self._file.close(keep=broken and bool(self._announced.upload_id))

    def write(self, chunk: bytes) -> None:
        """Appends at most 2 MiB; raises InvalidInputError for more, TooLargeError past the limit of the whole."""
        if len(chunk) > MAX_CHUNK_BYTES:
            raise invalid("chunk", f"holds {len(chunk)} bytes; send at most {MAX_CHUNK_BYTES} at a time")
        if self.size + len(chunk) > self._uploads.max_bytes:
            raise TooLargeError(
                f"the file is larger than {self._uploads.max_bytes} bytes; put it below the data root instead"
            )
        self._file.write(chunk)

    @property
    def size(self) -> int:
        """Bytes received, in this call and before."""
        return self._file.size

    @property
    def has_announced_bytes(self) -> bool:
        """Whether they are whole for certain: the digest is that which was announced."""
        return self._file.sha256 == self._announced.sha256

    def finish(self, check: Callable[[Dataset], None] = lambda dataset: None) -> Dataset:
        """Publishes as `Uploads.publish`; raises InvalidInputError if the digest differs or the file cannot be read."""
        announced = self._announced
        with self._file.held():
            digest, expected = self._file.sha256, announced.sha256
            if expected and digest != expected:
                raise invalid(
                    "header.sha256", f"{expected!r} was announced, the bytes have {digest}; send the file again"
                )
            dataset = self._uploads.publish(self._file.path, announced.display_name, announced.format, digest, check)
            self._file.published = True
            return dataset


def _missing(identifier: str) -> NotFoundError:
    return NotFoundError(f"datasets/{identifier} does not exist", field="name")
