"""A tar archive that is made while it is read: nothing is written to disk, and equal files give equal bytes."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from headstart.errors import InvalidArgument
from headstart.files.content import CHUNK_BYTES

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)


@dataclass(frozen=True)
class Member:
    """One file of an archive: its path there, and where its bytes are."""

    name: str
    source: Path | bytes

    def size(self) -> int:
        """Size in bytes."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield its bytes.

        Raises:
            InvalidArgument: the file has another size than the one given.
            OSError: it cannot be read.
        """
        if isinstance(self.source, bytes):
            yield self.source
            return
        left = size
        with self.source.open("rb") as file:
            # One byte more than is left shows that a file has grown.
            while piece := file.read(min(left + 1, CHUNK_BYTES)):
                left -= len(piece)
                if left < 0:
                    break
                yield piece
        if left:
            raise InvalidArgument(f"{self.source} changed while it was being packed; run it again", reason="CHANGED")


class TarContent:
    """Files as a tar archive, without times and owners. `size` and the order of the members are settled when made."""

    def __init__(self, name: str, members: Iterable[Member]) -> None:
        self.name = name
        self._members = [(member, member.size()) for member in sorted(members, key=lambda member: member.name)]
        self.size = len(END) + sum(len(_header(member, size)) + _padded(size) for member, size in self._members)

    def chunks(self) -> Iterator[bytes]:
        """See Content."""
        buffer = bytearray()
        for piece in self._pieces():
            buffer += piece
            while len(buffer) >= CHUNK_BYTES:
                yield bytes(buffer[:CHUNK_BYTES])
                del buffer[:CHUNK_BYTES]
        if buffer:
            yield bytes(buffer)

    def _pieces(self) -> Iterator[bytes]:
        for member, size in self._members:
            yield _header(member, size)
            yield from member.pieces(size)
            yield bytes(_padded(size) - size)
        yield END


def _header(member: Member, size: int) -> bytes:
    # Its defaults (no time, no owner, mode 0644) are the same on every machine.
    info = tarfile.TarInfo(member.name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
