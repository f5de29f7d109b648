"""The files of uploads on their way in, and what is kept of those whose call broke."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO
from weakref import WeakValueDictionary

from headstart_server.core.errors import FailedPreconditionError, NotFoundError, OutOfRangeError, OverloadedError
from headstart_server.core.files import disk_full_named, remove
from headstart_server.core.locks import share
from headstart_server.core.names import new_id

KEPT = timedelta(days=1)
"""For how long what arrived of a broken upload is kept."""
PARTS = ".*.part"
"""Files of uploads that can be gone on with, in the folder of the data sets."""
_BLOCK = 1 << 20
_PATIENCE_SECONDS = 0.5
"""For a write that is under way; longer, and calls that were sent again would take all threads from others."""


@dataclass(frozen=True)
class BrokenUpload:
    """What the server has of an upload."""

    size: int
    """Bytes, from the file's beginning."""
    expire_time: datetime


class ReceivedFile:
    """A file that is written from its beginning, or from an offset, and hashed on the way.

    Another call that goes on with the upload takes the file over: what writes it here fails from then on.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.size = path, 0
        self._hash = hashlib.sha256()
        self._file: BinaryIO | None = None
        self.published = False
        """Whether it has another name now, and needs this one no more."""
        self._lost = self._ended = False
        self._keep: bool | None = None
        """Set by who has closed it."""
        self._lock = threading.Lock()
        """Held by whoever opens, writes or publishes the file."""

    def open(self, offset: int = 0) -> None:
        """Opens it at an offset, past which everything goes; raises OutOfRangeError where it is not as long."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            if self.path.stat().st_nlink > 1:  # published by a server that was killed before it took this name away
                remove(self.path)
        if offset == 0:
            self._file = self.path.open("wb")
        else:
            self._file = self._opened_at(offset)
        share(self._file.fileno())  # while it is open nobody takes it for what a killed process left
        self.size = offset

    def write(self, chunk: bytes) -> None:
        """Appends."""
        with self.held():
            assert self._file is not None
            self._hash.update(chunk)
            self.size += len(chunk)
            with disk_full_named(self.path.parent):
                self._file.write(chunk)
                # `finish` publishes the open file, and a full disk shows here, where it is named
                self._file.flush()

    @property
    def sha256(self) -> str:
        """Of what it holds, in hexadecimal."""
        return self._hash.hexdigest()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody takes it over meanwhile; raises FailedPreconditionError where somebody has."""
        try:
            with self._lock:
                if self._lost:
                    raise FailedPreconditionError("another call goes on with this upload", field="header.upload_id")
                yield
        finally:
            if self._keep is not None:
                self.close(keep=self._keep)

    def take_away(self) -> None:
        """Has its writer fail from now on; raises OverloadedError while that publishes it, which may take long."""
        if not self._lock.acquire(timeout=_PATIENCE_SECONDS):
            raise OverloadedError("this upload is being finished; try again later", retry_after=5)
        try:
            self._lost = True
            self._close()
        finally:
            self._lock.release()

    def close(self, *, keep: bool) -> None:
        """Closes it, and removes it unless it is to be kept; of one that was published, this name alone goes.

        Waits for nobody: the event loop calls this while a thread may still write or publish, which then ends it.
        """
        self._keep = keep
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._close()
            if (self.published or not keep) and not self._lost and not self._ended:
                with suppress(FileNotFoundError):
                    remove(self.path)
            self._ended = True
        finally:
            self._lock.release()

    def _opened_at(self, offset: int) -> BinaryIO:
        try:
            file = self.path.open("r+b")
        except FileNotFoundError:
            raise _too_far(offset, 0) from None
        found = file.seek(0, 2)
        if found < offset:
            file.close()
            raise _too_far(offset, found)
        file.truncate(offset)
        file.seek(0)
        for _ in range(0, offset, _BLOCK):
            self._hash.update(file.read(_BLOCK))
        return file

    def _close(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # a full disk was named by `write` already
                self._file.close()


class ReceivedFiles:
    """The files of one tenant's uploads. Thread-safe.

    Args:
        root: The folder of the data sets, so that publishing is a rename; the dots of the names keep them out of lists.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._open: WeakValueDictionary[Path, ReceivedFile] = WeakValueDictionary()
        """Of uploads that can be gone on with."""

    def begin(self, upload_id: str = "", offset: int = 0) -> ReceivedFile:
        """The file of an upload, open; of one with an id, from an offset of what is there. Raises OutOfRangeError."""
        if not upload_id:
            file = ReceivedFile(self._root / f".{new_id()}.upload")
            file.open()
            return file
        file = ReceivedFile(self._path(upload_id))
        with file.held():
            with self._lock:
                before = self._open.get(file.path)
                self._open[file.path] = file
            if before is not None:
                try:
                    before.take_away()
                except OverloadedError:
                    with self._lock:
                        if self._open.get(file.path) is file:
                            self._open[file.path] = before
                    raise
            file.open(offset)
        return file

    def find(self, upload_id: str) -> BrokenUpload:
        """What there is of an upload; raises NotFoundError."""
        try:
            found = self._path(upload_id).stat()
        except FileNotFoundError:
            message = f"nothing of the upload {upload_id!r} is known; send it from its beginning"
            raise NotFoundError(message, field="upload_id") from None
        return BrokenUpload(found.st_size, datetime.fromtimestamp(found.st_mtime, UTC) + KEPT)

    def forget(self, upload_id: str) -> None:
        """Removes what there is of an upload that is needed no more."""
        if upload_id:
            with suppress(FileNotFoundError):
                remove(self._path(upload_id))

    def size_bytes(self, but: str = "") -> int:
        """Of what is kept of all uploads but one."""
        own, sizes = self._path(but) if but else None, 0
        for path in self._root.glob(PARTS):
            with suppress(FileNotFoundError):  # it was published or removed just now
                sizes += path.stat().st_size if path != own else 0
        return sizes

    def _path(self, upload_id: str) -> Path:
        # hashed: an id may hold anything, and names no file
        return self._root / f".{hashlib.sha256(upload_id.encode()).hexdigest()[:32]}.part"


def _too_far(offset: int, size: int) -> OutOfRangeError:
    message = f"{offset} is past what the server has of this upload, {size} bytes; ask GetUpload, and send the rest"
    return OutOfRangeError(message, field="header.offset")
