"""What an upload sends: something with a name, a size and bytes that can be read twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

CHUNK_BYTES = 1 << 20


class Content(Protocol):
    """The bytes of a data set."""

    @property
    def name(self) -> str:
        """Name for people; its ending names the format."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the same bytes each time, at most 1 MiB at a time."""


@dataclass(frozen=True)
class FileContent:
    """A file as it is."""

    path: Path

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def size(self) -> int:
        """The file's size."""
        return self.path.stat().st_size

    def chunks(self) -> Iterator[bytes]:
        """See Content."""
        with self.path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk


@dataclass(frozen=True)
class BytesContent:
    """A file in memory."""

    name: str
    data: bytes

    @property
    def size(self) -> int:
        """Its number of bytes."""
        return len(self.data)

    def chunks(self) -> Iterator[bytes]:
        """See Content."""
        for start in range(0, len(self.data), CHUNK_BYTES):
            yield self.data[start : start + CHUNK_BYTES]


def chunks_from(content: Content, offset: int) -> Iterator[bytes]:
    """Yield the bytes from an offset on."""
    left = offset
    for chunk in content.chunks():
        if left < len(chunk):
            yield chunk[left:]
        left = max(0, left - len(chunk))


def digest_of(content: Content) -> str:
    """Return the SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    for chunk in content.chunks():
        digest.update(chunk)
    return digest.hexdigest()
