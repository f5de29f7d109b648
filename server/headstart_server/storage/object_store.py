"""Object stores: files by name that every machine sees, each there whole or not at all.

Names are paths with slashes. A directory that machines mount is one, and so is a bucket of an object store.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, Self

import fsspec
from pyarrow.fs import FSSpecHandler, PyFileSystem

from headstart_server.core.errors import HeadstartError, StorageError, invalid
from headstart_server.core.files import TEMPORARY, disk_full_named, published_file

# for botocore (1.43), where `max_attempts` of `retries` counts what follows the first try; times in seconds
_RETRIES = {"retries": {"mode": "standard", "max_attempts": 6}, "connect_timeout": 10, "read_timeout": 60}
_PACKAGES = {"s3": "headstart[s3]", "s3a": "headstart[s3]", "gs": "headstart[gcs]", "gcs": "headstart[gcs]"}
_TIMES = ("LastModified", "mtime", "updated", "last_modified", "created")
"""What the libraries of object stores call the time of a file's publication."""


@dataclass(frozen=True)
class Stored:
    """A file in an object store."""

    size: int
    """In bytes."""
    modified: float
    """When it was published, in seconds since the epoch, by the object store's clock."""


class ObjectStore(Protocol):
    """Files by name. What is published is seen by everybody at once. Raises StorageError where it cannot be reached."""

    def files(self, prefix: str = "") -> dict[str, Stored]:
        """Every file below a prefix, which ends where a slash does, by name."""

    def about(self, name: str) -> Stored:
        """One file; raises FileNotFoundError."""

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        """At most `size` bytes of a file from `start`; all by default. Raises FileNotFoundError."""

    def write(self, name: str, data: bytes) -> None:
        """Publishes bytes, in place of what had the name."""

    def publish(self, source: Path, name: str) -> None:
        """Publishes a local file, in place of what had the name."""

    def fetch(self, name: str, target: Path) -> None:
        """Publishes a file to the local disk. Raises FileNotFoundError."""

    def remove(self, *names: str) -> None:
        """Removes files, those that there are."""

    def remove_unpublished(self, before: float) -> int:
        """Removes what killed processes were writing at a moment; returns how many files. Not where nobody sees it."""

    def below(self, prefix: str) -> "ObjectStore":
        """What lies below a prefix, as an object store."""


def object_store_at(url: str, field: str) -> ObjectStore:
    """The object store at a URL (`s3://bucket/prefix`, `gs://...`) or in a directory.

    Raises InvalidInputError naming `field`.
    """
    scheme, separator, _ = url.partition("://")
    if not separator:
        return FolderObjectStore(Path(url))
    if scheme == "file":
        return FolderObjectStore(Path(url.removeprefix("file://")))
    try:
        return RemoteObjectStore.at(url)
    except ImportError as error:
        package = _PACKAGES.get(scheme, f"fsspec's package for {scheme}")
        raise invalid(field, f"{url!r} needs another library: pip install '{package}' ({error})") from error
    except ValueError as error:
        message = f"{url!r} is no storage that fsspec knows ({error}); use s3://, gs:// or a path"
        raise invalid(field, message) from error


class FolderObjectStore:
    """A directory, on this machine or mounted by many."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def files(self, prefix: str = "") -> dict[str, Stored]:
        """See ObjectStore."""
        found = {}
        with _reached("list", self._root / prefix):
            for path in (self._root / prefix).rglob("*"):
                try:
                    if path.is_file() and not path.name.endswith(TEMPORARY):
                        stat = path.stat()
                        found[path.relative_to(self._root).as_posix()] = Stored(stat.st_size, stat.st_mtime)
                except FileNotFoundError:  # removed meanwhile
                    continue
        return found

    def about(self, name: str) -> Stored:
        """See ObjectStore."""
        path = self._root / name
        with _reached("read", path):
            if not path.is_file():
                raise FileNotFoundError(path)
            stat = path.stat()
            return Stored(stat.st_size, stat.st_mtime)

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        """See ObjectStore."""
        with _reached("read", self._root / name), (self._root / name).open("rb") as file:
            file.seek(start)
            return file.read(-1 if size is None else size)

    def write(self, name: str, data: bytes) -> None:
        """See ObjectStore."""
        with _reached("write", self._root / name), published_file(self._root / name) as temporary:
            temporary.write_bytes(data)

    def publish(self, source: Path, name: str) -> None:
        """See ObjectStore."""
        with _reached("write", self._root / name), published_file(self._root / name) as temporary:
            shutil.copyfile(source, temporary)

    def fetch(self, name: str, target: Path) -> None:
        """See ObjectStore."""
        with _reached("read", self._root / name), published_file(target) as temporary:
            shutil.copyfile(self._root / name, temporary)

    def remove(self, *names: str) -> None:
        """See ObjectStore."""
        for name in names:
            with _reached("remove", self._root / name):
                (self._root / name).unlink(missing_ok=True)

    def remove_unpublished(self, before: float) -> int:
        """See ObjectStore."""
        left = 0
        with _reached("list", self._root):
            for path in self._root.rglob(f".*{TEMPORARY}"):
                with suppress(FileNotFoundError):
                    if path.is_file() and path.stat().st_mtime < before:
                        path.unlink()
                        left += 1
        return left

    def below(self, prefix: str) -> "FolderObjectStore":
        """See ObjectStore."""
        return FolderObjectStore(self._root / prefix)


class RemoteObjectStore:
    """A place in an object store, through fsspec. Its stores publish an object when its last byte has arrived."""

    def __init__(self, system: Any, root: str) -> None:
        self._system, self._root = system, root.rstrip("/")

    @classmethod
    def at(cls, url: str) -> Self:
        """By URL. Credentials and endpoints come from where the store's own tools look for them."""
        # fsspec's cache of listings never expires by default, and other machines publish meanwhile
        options: dict[str, Any] = {"use_listings_cache": False}
        if url.startswith(("s3://", "s3a://")):
            options["config_kwargs"] = _RETRIES
        system, root = fsspec.core.url_to_fs(url, **options)
        return cls(system, root)

    def files(self, prefix: str = "") -> dict[str, Stored]:
        """See ObjectStore."""
        with _reached("list", self.path(prefix)):
            found = self._system.find(self.path(prefix), detail=True)
            return {
                path.removeprefix(f"{self._root}/"): Stored(int(info["size"]), _modified(info))
                for path, info in found.items()
                if info["type"] == "file"
            }

    def about(self, name: str) -> Stored:
        """See ObjectStore."""
        with _reached("read", self.path(name)):
            info = self._system.info(self.path(name))
            if info["type"] != "file":
                raise FileNotFoundError(name)
            return Stored(int(info["size"]), _modified(info))

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        """See ObjectStore."""
        if size == 0:
            return b""
        with _reached("read", self.path(name)):
            end = None if size is None else start + size
            try:
                # no range where all is wanted: stores refuse any range of an empty object
                data: bytes = self._system.cat_file(self.path(name), start=start or None, end=end)
            except FileNotFoundError:
                raise
            except Exception:  # some stores refuse ranges past the end, and any range of an empty file
                if start >= self._system.info(self.path(name))["size"]:
                    return b""
                raise
            return data

    def write(self, name: str, data: bytes) -> None:
        """See ObjectStore."""
        with _reached("write", self.path(name)):
            self._system.pipe_file(self.path(name), data)

    def publish(self, source: Path, name: str) -> None:
        """See ObjectStore."""
        with _reached("write", self.path(name)):
            self._system.put_file(str(source), self.path(name))

    def fetch(self, name: str, target: Path) -> None:
        """See ObjectStore."""
        # Inside of `published_file`: a full disk here is no fault of the storage's.
        with published_file(target) as temporary, _reached("read", self.path(name)), disk_full_named(target.parent):
            self._system.get_file(self.path(name), str(temporary))

    def remove(self, *names: str) -> None:
        """See ObjectStore."""
        for name in names:
            with _reached("remove", self.path(name)):
                try:
                    self._system.rm_file(self.path(name))
                except FileNotFoundError:
                    continue

    def remove_unpublished(self, before: float) -> int:
        """See ObjectStore: an object is there whole or not at all, and its store aborts what was begun."""
        return 0

    def below(self, prefix: str) -> Self:
        """See ObjectStore."""
        return type(self)(self._system, self.path(prefix))

    def path(self, name: str) -> str:
        """A name as fsspec knows it."""
        return f"{self._root}/{name}".rstrip("/")

    def arrow(self) -> PyFileSystem:
        """The whole object store as a file system of pyarrow."""
        return PyFileSystem(FSSpecHandler(self._system))


@contextmanager
def _reached(verb: str, place: Path | str) -> Iterator[None]:
    """Raises StorageError for whatever a library or a directory raises, but for what is not there to be read."""
    try:
        yield
    except HeadstartError:  # of `published_file`: the disk is full
        raise
    except Exception as error:  # each library has errors of its own
        if isinstance(error, FileNotFoundError) and verb == "read":
            raise
        raise StorageError(f"cannot {verb} {place} in the shared storage: {_brief(error)}") from error


def _modified(info: dict[str, Any]) -> float:
    for key in _TIMES:
        match info.get(key):
            case datetime() as time:
                return time.timestamp()
            case int() | float() as time:
                return float(time)
            case str() as time:
                return datetime.fromisoformat(time).timestamp()
    return 0.0


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}".rstrip(": ")
