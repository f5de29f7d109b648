"""The members of zip and tar files as their libraries read them, within bounded memory whatever somebody wrote."""

import os
import tarfile
import zipfile
from collections.abc import Iterator
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any

from headstart_server.core.errors import InvalidInputError, invalid
from headstart_server.core.reasons import Reason
from headstart_server.data.archive_index import DEFLATED, PLAIN, STORED, Member, refused

MAX_DIRECTORY_BYTES = 128 << 20
"""Of a zip's directory: it is read whole, at some ten times its size."""
_MAX_HEADER_BYTES = 1 << 17
"""Of all headers of a tar's member."""
_MAX_GLOBAL_HEADERS = 1_000
_METHODS = {zipfile.ZIP_STORED: STORED, zipfile.ZIP_DEFLATED: DEFLATED}
_ENCRYPTED, _UTF8 = 0x1, 0x800


def zip_members(path: Path, field: str) -> Iterator[Member]:
    """Every file of a zip; raises InvalidInputError, or what zipfile raises."""
    message = f"its directory has more than {MAX_DIRECTORY_BYTES} bytes; send a tar, or split it"
    too_large = invalid(field, message, reason=Reason.TOO_LARGE)
    # zipfile reads the directory in one piece, as large as the file says: `_Headers` refuses that read.
    with _Headers(path, MAX_DIRECTORY_BYTES, too_large) as source, zipfile.ZipFile(source) as file:
        for info in file.infolist():
            if info.is_dir():
                continue
            if info.flag_bits & _ENCRYPTED:
                raise refused(info.filename, "is encrypted", field)
            if info.compress_type not in _METHODS:
                names: dict[int, str] = getattr(zipfile, "compressor_names", {})
                packing = names.get(info.compress_type, str(info.compress_type))
                raise refused(info.filename, f"is packed by {packing!r}, and only deflate is read", field)
            method = _METHODS[info.compress_type]
            yield Member(_zip_name(info), info.header_offset, info.compress_size, info.file_size, method, info.CRC)


def tar_members(path: Path, field: str) -> Iterator[Member]:
    """Every file of a tar; raises InvalidInputError, or what tarfile raises."""
    message = f"the headers of one member take more than {_MAX_HEADER_BYTES} bytes; pack it again"
    too_large = invalid(field, message, reason=Reason.TOO_LARGE)
    # `r:` reads plain tars alone; `r` would try gzip, bz2 and xz, whose members have no place in the file.
    with _Headers(path, _MAX_HEADER_BYTES, too_large) as source, tarfile.open(fileobj=source, mode="r:") as file:
        place = -1
        collector: Any = file
        while (member := file.next()) is not None:
            # Headers must lead forward, or the reading would never end (CVE-2025-8194); tarfile keeps all global ones.
            if member.offset <= place or len(file.pax_headers) > _MAX_GLOBAL_HEADERS:
                raise tarfile.ReadError("its headers lead nowhere")
            place = member.offset
            # Each member may have as much again: the bound is on one's headers, not on how many members there are.
            source.left = _MAX_HEADER_BYTES
            collector.members = []  # which it would collect
            if member.isdir():
                continue
            name = _tar_name(member.name)
            if not member.isreg() or member.issparse():
                raise refused(name, "is a link or a special file", field)
            yield Member(name, member.offset_data, member.size, member.size, PLAIN, 0)
        _require_end(source, file.offset, field)


class _Headers(BufferedReader):
    """An archive of which only headers are read: once they take more than `left` bytes, the reading ends."""

    def __init__(self, path: Path, left: int, too_large: InvalidInputError) -> None:
        super().__init__(FileIO(path))
        self.left, self._too_large = left, too_large

    def read(self, size: int | None = -1, /) -> bytes:
        """As BufferedReader's."""
        if size is None or size < 0:
            size = max(0, os.fstat(self.fileno()).st_size - self.tell())
        # Refused before it is read: the size is what a header claims, and would be allocated.
        if size > self.left:
            raise self._too_large
        self.left -= size
        return super().read(size)


def _require_end(source: _Headers, offset: int, field: str) -> None:
    """tarfile takes damage and a missing end for the end: whatever followed would be lost unnoticed."""
    block = os.pread(source.fileno(), tarfile.BLOCKSIZE, offset)
    if len(block) < tarfile.BLOCKSIZE or block.strip(b"\0"):
        message = f"is cut off or damaged at byte {offset}: no member and no end is there; pack or send it again"
        raise invalid(field, message, reason=Reason.UNREADABLE_DATA)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Many packers write UTF-8 without saying so, which zipfile reads as the code page of the first PCs."""
    if info.flag_bits & _UTF8:
        return info.filename
    try:
        return info.filename.encode("cp437").decode()
    except UnicodeError:
        return info.filename


def _tar_name(name: str) -> str:
    """A name that is not UTF-8 is read as Latin-1, in which every byte is a letter."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode(errors="surrogateescape").decode("latin-1")
    return name
