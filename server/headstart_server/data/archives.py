"""Archives of a table and its images: zip and tar, never unpacked. Members are read in place, so no name can escape.

A gzipped tar is decompressed once, into the cache of converted tables.
"""

import gzip
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from headstart_server.core.digests import file_digest
from headstart_server.core.errors import InvalidInputError, invalid
from headstart_server.core.files import published_file
from headstart_server.core.pruning import mark_used

MAX_RATIO = 200
"""Of a member's size to its compressed size, above which it is taken for a bomb."""
MAX_MEMBERS = 10_000_000
_SMALL = 1 << 20
_CHUNK = 1 << 20
_REFUSED = "unpack it, remove that member, and pack the rest again"


@dataclass(frozen=True)
class Archive:
    """A zip file, or a tar file with its index. Can be sent to another process, which opens it by itself."""

    path: Path
    index: Path | None
    """Of a tar file: names, offsets and sizes of its members as an Arrow file."""

    @cached_property
    def _tar(self) -> dict[str, tuple[int, int]]:
        table = pa.ipc.open_file(str(self.index)).read_all()
        spans = zip(table.column("offset").to_pylist(), table.column("size").to_pylist(), strict=True)
        return dict(zip(table.column("name").to_pylist(), spans, strict=True))

    @cached_property
    def _zip(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(self.path)

    @cached_property
    def _infos(self) -> dict[str, zipfile.ZipInfo]:
        return {_plain(info.filename): info for info in self._zip.infolist() if not info.is_dir()}

    @cached_property
    def _descriptor(self) -> int:
        return os.open(self.path, os.O_RDONLY)

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """Size in bytes of every file in it, by its path from the top."""
        if self.index is not None:
            return {name: size for name, (_, size) in self._tar.items()}
        return {name: info.file_size for name, info in self._infos.items()}

    def read(self, name: str) -> bytes:
        """A member's bytes; raises OSError where the archive is damaged there. Safe on several threads."""
        if self.index is not None:
            offset, size = self._tar[name]
            return os.pread(self._descriptor, size, offset)
        try:
            return self._zip.read(self._infos[name])
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise OSError(f"damaged in the archive: {error}") from error

    def extract(self, name: str, target: Path) -> None:
        """Copies a member into a file."""
        if self.index is not None:
            offset, left = self._tar[name]
            with target.open("wb") as sink:
                while left:
                    piece = os.pread(self._descriptor, min(left, _CHUNK), offset)
                    if not piece:
                        return
                    sink.write(piece)
                    offset, left = offset + len(piece), left - len(piece)
            return
        with self._zip.open(self._infos[name]) as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink, _CHUNK)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "index": self.index}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __del__(self) -> None:
        if "_descriptor" in self.__dict__:
            os.close(self._descriptor)
        if "_zip" in self.__dict__:
            self._zip.close()


def open_archive(path: Path, kind: str, cache: Path, field: str) -> Archive:
    """Opens a `zip`, `tar` or `tgz` file; raises InvalidInputError naming `field` and the member that is refused."""
    try:
        if kind == "zip":
            return _checked_zip(path, field)
        digest = file_digest(path)
        if kind == "tgz":
            path = _decompressed(path, cache / f"{digest}.tar", field)
        index = cache / f"{digest}-tar.index"
        if not index.is_file():
            _write_index(path, index, field)
        mark_used(index)
        return Archive(path, index)
    except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise invalid(field, f"is no readable {kind} archive: {reason}", reason="UNREADABLE_DATA") from error


def _checked_zip(path: Path, field: str) -> Archive:
    with zipfile.ZipFile(path) as file:
        for info in file.infolist():
            if info.is_dir():
                continue
            _check_name(info.filename, field)
            if info.flag_bits & 1:
                raise _refused(info.filename, "is encrypted", field)
            if info.file_size > _SMALL and info.file_size > MAX_RATIO * max(1, info.compress_size):
                raise _refused(info.filename, f"grows more than {MAX_RATIO} times when it is unpacked", field)
    return Archive(path, None)


def _write_index(path: Path, index: Path, field: str) -> None:
    names, offsets, sizes = [], [], []
    with tarfile.open(path, "r:") as file:
        for member in _members(file):
            if member.isdir():
                continue
            _check_name(member.name, field)
            if not member.isreg() or member.issparse():
                raise _refused(member.name, "is a link or a special file", field)
            names.append(_plain(member.name))
            offsets.append(member.offset_data)
            sizes.append(member.size)
            if len(names) > MAX_MEMBERS:
                raise invalid(field, f"holds more than {MAX_MEMBERS} files; split it", reason="TOO_LARGE")
    if offsets and offsets[-1] + sizes[-1] > path.stat().st_size:
        raise invalid(field, f"is cut off within {names[-1][:200]!r}; send it again", reason="UNREADABLE_DATA")
    table = pa.table({"name": pa.array(names, pa.large_string()), "offset": offsets, "size": sizes})
    with published_file(index) as temporary, pa.ipc.new_file(str(temporary), table.schema) as writer:
        writer.write_table(table)


def _members(file: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (member := file.next()) is not None:
        yield member
        file.members = []  # type: ignore[attr-defined]  # which it would collect


def _decompressed(path: Path, target: Path, field: str) -> Path:
    if not target.is_file():
        most = _SMALL + MAX_RATIO * path.stat().st_size
        with gzip.open(path) as source, published_file(target) as temporary, temporary.open("wb") as sink:
            size = 0
            while piece := source.read(_CHUNK):
                size += len(piece)
                if size > most:
                    raise invalid(
                        field, f"grows more than {MAX_RATIO} times when it is unpacked; send a plain tar", reason="BOMB"
                    )
                sink.write(piece)
    mark_used(target)
    return target


def _check_name(name: str, field: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name or (path.parts and path.parts[0].endswith(":")):
        raise _refused(name, "would be unpacked outside of its folder", field)


def _refused(name: str, why: str, field: str) -> InvalidInputError:
    return invalid(field, f"its member {name[:200]!r} {why}; {_REFUSED}", reason="UNSAFE_ARCHIVE")


def _plain(name: str) -> str:
    return str(PurePosixPath(name.replace("\\", "/")))
