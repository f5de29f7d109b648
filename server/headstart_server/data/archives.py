"""Archives of a table and its images: zip and tar, never unpacked. Members are read in place, so no name can escape.

An index beside the converted tables says where each member lies; a gzipped tar is decompressed once, to the same place.
"""

import gzip
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from headstart_server.core.cached_files import is_sound, seal
from headstart_server.core.digests import file_digest
from headstart_server.core.errors import HeadstartError, InvalidInputError, invalid
from headstart_server.core.files import published_file
from headstart_server.core.reasons import Reason
from headstart_server.data.archive_index import DEFLATED, MAX_RATIO, PLAIN, data_offset, name_digest, write_index
from headstart_server.data.archive_members import tar_members, zip_members

_FREE_BYTES = 1 << 20
"""What a gzipped tar may expand to, however small."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """A zip or tar file with its index. Can be sent to another process, which opens it by itself."""

    path: Path
    index: Path
    """An Arrow file that says where each member lies."""

    @cached_property
    def _columns(self) -> dict[str, Any]:
        table = pa.ipc.open_file(pa.memory_map(str(self.index))).read_all()
        names = table.column("name").combine_chunks()
        return {"name": names} | {name: table.column(name).to_numpy() for name in table.column_names if name != "name"}

    @cached_property
    def _descriptor(self) -> int:
        return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    @property
    def names(self) -> list[str]:
        """The path of every file in it, from the top."""
        return sorted(self._columns["name"].to_pylist())

    def size(self, name: str) -> int | None:
        """Size in bytes of a file in it; None where there is none of that name."""
        place = self._place(name)
        return None if place is None else int(self._columns["size"][place])

    def read(self, name: str) -> bytes:
        """A member's bytes; raises OSError where the archive is damaged there. Safe on several threads."""
        return b"".join(self._pieces(name))

    def extract(self, name: str, target: Path) -> None:
        """Copies a member into a file; raises OSError where the archive is damaged there."""
        with target.open("wb") as sink:
            for piece in self._pieces(name):
                sink.write(piece)

    def _place(self, name: str) -> int | None:
        names, digests = self._columns["name"], self._columns["digest"]
        place = int(np.searchsorted(digests, np.uint64(name_digest(name))))
        # Equal digests are not equal names: the name decides.
        return place if place < len(names) and names[place].as_py() == name else None

    def _pieces(self, name: str) -> Iterator[bytes]:
        place = self._place(name)
        assert place is not None
        offset, stored, size, method, checksum = (
            int(self._columns[column][place]) for column in ("offset", "stored", "size", "method", "checksum")
        )
        if method == PLAIN:
            yield from self._stored(offset, stored)
            return
        pieces = self._stored(data_offset(self._descriptor, offset), stored)
        found = crc = 0
        for piece in _inflated(pieces, size) if method == DEFLATED else pieces:
            found, crc = found + len(piece), zlib.crc32(piece, crc)
            yield piece
        if found != size or crc != checksum:
            raise OSError("its bytes are not those that were packed")

    def _stored(self, offset: int, left: int) -> Iterator[bytes]:
        while left:
            # pread moves no position, so that threads can share the descriptor.
            piece = os.pread(self._descriptor, min(left, _CHUNK), offset)
            if not piece:
                raise OSError("the archive ends before it")
            yield piece
            offset, left = offset + len(piece), left - len(piece)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "index": self.index}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __del__(self) -> None:
        if "_descriptor" in self.__dict__:
            os.close(self._descriptor)


def open_archive(path: Path, kind: str, cache: Path, field: str) -> Archive:
    """Opens a `zip`, `tar` or `tgz` file; raises InvalidInputError naming `field` and the member that is refused."""
    try:
        digest = file_digest(path)
        if kind == "tgz":
            path = _decompressed(path, cache / f"{digest}.tar", field)
        # By kind, too: the same bytes may be given as another kind of archive.
        index = cache / f"{digest}-{kind}.index"
        if not is_sound(index):
            write_index(index, zip_members(path, field) if kind == "zip" else tar_members(path, field), path, field)
            seal(index)
        return Archive(path, index)
    except HeadstartError:
        raise
    except Exception as error:
        raise _unreadable(kind, error, field) from error


def _unreadable(kind: str, error: Exception, field: str) -> InvalidInputError:
    """The libraries raise anything for foreign bytes, from UnicodeError to RecursionError."""
    known = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError)
    reason = (error.strerror or "") if isinstance(error, OSError) and error.errno else ""
    reason = reason or (str(error) if isinstance(error, known) else type(error).__name__)
    message = f"is no readable {kind} archive: {' '.join(reason.split())[:200]}; pack it again"
    return invalid(field, message, reason=Reason.UNREADABLE_DATA)


def _inflated(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """A deflated member, never more than a piece beyond the size that it is said to have."""
    # Raw deflate (RFC 1951), as zips hold it, without zlib's header.
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    found = 0
    try:
        for stored in pieces:
            while stored:
                piece = inflate.decompress(stored, _CHUNK)
                found += len(piece)
                yield piece
                # `_pieces` then refuses the member, whose size is not the one it is said to have.
                if found > size:
                    return
                stored = inflate.unconsumed_tail
        yield inflate.flush()
    except zlib.error as error:
        raise OSError(str(error)) from None


def _decompressed(path: Path, target: Path, field: str) -> Path:
    if not is_sound(target):
        most = _FREE_BYTES + MAX_RATIO * path.stat().st_size
        with gzip.open(path) as source, published_file(target) as temporary, temporary.open("wb") as sink:
            size = 0
            while piece := source.read(_CHUNK):
                size += len(piece)
                if size > most:
                    message = f"grows more than {MAX_RATIO} times when it is unpacked; send a plain tar"
                    raise invalid(field, message, reason=Reason.BOMB)
                sink.write(piece)
        seal(target)
    return target
