"""Shards: immutable safetensors files of keys and embeddings, with a checksum per block.

A shard describes itself: the index of a space is rebuilt from its shards alone.
Source of the file layout: https://github.com/huggingface/safetensors (8-byte header length, JSON header, tensors).
"""

import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from headstart_server.core.files import published_file
from headstart_server.embedding_store.key import KEY_BYTES, Keys, pack, unpack

FORMAT = "headstart-shard-1"
BLOCK_BYTES = 1 << 20  # what one checksum covers: the least that is read, and that damage costs
_MAX_HEADER = 64 << 20  # a damaged length must not make a reader ask for gigabytes
_DTYPES = {"F16": np.float16, "F32": np.float32}


class CorruptShardError(Exception):
    """The file is not what was written: truncated, altered, or something else altogether."""


def write_shard(
    path: Path, space: str, keys: Keys, embeddings: npt.NDArray[np.floating], parts: Sequence[str] = ()
) -> None:
    """Publishes a shard atomically. `embeddings` is [n, d], float16 or float32, row i belonging to key i.

    `parts` names the shards that this one takes the place of.
    """
    embeddings = np.ascontiguousarray(embeddings)
    packed = pack(keys)
    block_rows = max(1, BLOCK_BYTES // max(1, embeddings.strides[0]))
    sums = [zlib.crc32(embeddings[start : start + block_rows].data) for start in range(0, len(embeddings), block_rows)]
    metadata = {
        "format": FORMAT,
        "space": space,
        "block_rows": str(block_rows),
        "block_crc32": ",".join(f"{value:08x}" for value in sums),
        "keys_crc32": f"{zlib.crc32(packed.data):08x}",
        "parts": ",".join(parts),
    }
    with published_file(path) as temporary:
        save_file({"embeddings": embeddings, "keys": packed}, temporary, metadata)


class ReadableFile(Protocol):
    """A shard's bytes, wherever they are."""

    descriptor: int
    """Of the file on this machine; -1 where it is elsewhere."""
    size: int

    def read(self, size: int, start: int) -> bytes:
        """At most `size` bytes from `start`."""

    def bring(self) -> None:
        """Makes much of it quick to read; raises FileNotFoundError where it is gone."""


class OpenFile:
    """A file open for reading until its last reader is gone: a gather may outlive the shard's place in the index."""

    def __init__(self, path: Path) -> None:
        # `__del__` runs even where the file cannot be opened
        self.descriptor = -1
        self.descriptor = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self.descriptor).st_size

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)

    def read(self, size: int, start: int) -> bytes:
        """At most `size` bytes from `start`."""
        # pread moves no position: the threads of a gather share the descriptor
        return os.pread(self.descriptor, size, start)

    def bring(self) -> None:
        """It is here."""


@dataclass(frozen=True)
class Shard:
    """An open shard. Reads are verified."""

    path: Path
    file: ReadableFile
    rows: int
    dimension: int
    dtype: npt.DTypeLike
    block_rows: int
    checksums: tuple[int, ...]
    embeddings_start: int
    keys_start: int
    keys_checksum: int
    space: str
    parts: frozenset[str]
    """Names of the shards whose rows lie here, too; they go when nobody reads them any more."""

    @classmethod
    def open(cls, path: Path) -> "Shard":
        """Opens and checks the header; raises CorruptShardError, or FileNotFoundError if it is gone."""
        return cls.read(path, OpenFile(path))

    @classmethod
    def read(cls, path: Path, file: ReadableFile) -> "Shard":
        """The shard whose bytes a file has; `path` is where it lies here, or would. Raises as `open` does."""
        try:
            return cls._parse(path, file)
        except FileNotFoundError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, OSError) as error:
            raise CorruptShardError(f"{path.name}: {error}") from error

    @classmethod
    def _parse(cls, path: Path, file: ReadableFile) -> "Shard":
        length = int.from_bytes(file.read(8, 0), "little")
        if not 0 < length < _MAX_HEADER:
            raise ValueError("no header")
        header = json.loads(file.read(length, 8))
        metadata = header["__metadata__"]
        if metadata["format"] != FORMAT:
            raise ValueError(f"format {metadata['format']!r}")
        rows, dimension = _whole(*header["embeddings"]["shape"])
        dtype = _DTYPES[header["embeddings"]["dtype"]]
        embeddings_start, embeddings_end = _whole(*header["embeddings"]["data_offsets"])
        keys_start, keys_end = _whole(*header["keys"]["data_offsets"])
        if (
            header["keys"]["shape"] != [rows, KEY_BYTES]
            or embeddings_end - embeddings_start != rows * dimension * np.dtype(dtype).itemsize
            or keys_end - keys_start != rows * KEY_BYTES
            # exactly: whatever was cut off or appended makes a shard corrupt
            or file.size != 8 + length + max(embeddings_end, keys_end)
        ):
            raise ValueError("truncated, or sizes that do not fit together")
        sums = tuple(int(text, 16) for text in metadata["block_crc32"].split(",") if text)
        block_rows = int(metadata["block_rows"])
        if block_rows < 1 or len(sums) != -(-rows // block_rows):
            raise ValueError("checksums missing")
        return cls(
            path=path,
            file=file,
            rows=rows,
            dimension=dimension,
            dtype=dtype,
            block_rows=block_rows,
            checksums=sums,
            embeddings_start=8 + length + embeddings_start,
            keys_start=8 + length + keys_start,
            keys_checksum=int(metadata["keys_crc32"], 16),
            space=metadata["space"],
            parts=frozenset(name for name in metadata.get("parts", "").split(",") if name),
        )

    # allowed in a frozen dataclass: it writes to `__dict__`, past `__setattr__`
    @cached_property
    def row_bytes(self) -> int:
        """Bytes of one embedding."""
        return self.dimension * np.dtype(self.dtype).itemsize

    def keys(self) -> Keys:
        """All keys, uint64 [rows, 2]; raises CorruptShardError."""
        data = self.file.read(self.rows * KEY_BYTES, self.keys_start)
        if len(data) != self.rows * KEY_BYTES or zlib.crc32(data) != self.keys_checksum:
            raise CorruptShardError(f"{self.path.name}: keys do not match their checksum")
        return unpack(np.frombuffer(data, np.uint8))

    def block(self, index: int) -> npt.NDArray[np.floating] | None:
        """Block `index` as [<= block_rows, d], or None if it does not match its checksum."""
        start = index * self.block_rows
        count = min(self.block_rows, self.rows - start)
        data = self.file.read(count * self.row_bytes, self.embeddings_start + start * self.row_bytes)
        if len(data) != count * self.row_bytes or zlib.crc32(data) != self.checksums[index]:
            return None
        return np.frombuffer(data, self.dtype).reshape(count, self.dimension)


def _whole(*values: object) -> tuple[int, int]:
    """Two whole numbers from a header; raises ValueError for anything else."""
    first, second = values
    if not (isinstance(first, int) and isinstance(second, int) and first >= 0 and second >= 0):
        raise ValueError(f"{values} in the header")
    return first, second
