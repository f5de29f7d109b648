"""Shards: immutable safetensors files of keys and embeddings, with a checksum per block.

A shard describes itself: the index of a space is rebuilt from its shards alone.
Source of the file layout: https://github.com/huggingface/safetensors (8-byte header length, JSON header, tensors).
"""

import json
import os
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from headstart_server.core.files import published_file
from headstart_server.embedding_store.key import KEY_BYTES, Keys, pack, unpack

FORMAT = "headstart-shard-1"
BLOCK_BYTES = 1 << 20
_MAX_HEADER = 64 << 20
_DTYPES = {"F16": np.float16, "F32": np.float32}


class CorruptShardError(Exception):
    """The file is not what was written: truncated, altered, or something else altogether."""


def write_shard(path: Path, space: str, keys: Keys, embeddings: npt.NDArray[np.floating]) -> None:
    """Publishes a shard atomically. `embeddings` is [n, d], float16 or float32, row i belonging to key i."""
    embeddings = np.ascontiguousarray(embeddings)
    packed = pack(keys)
    block_rows = max(1, BLOCK_BYTES // max(1, embeddings.strides[0]))
    sums = [zlib.crc32(embeddings[start : start + block_rows]) for start in range(0, len(embeddings), block_rows)]
    metadata = {
        "format": FORMAT,
        "space": space,
        "block_rows": str(block_rows),
        "block_crc32": ",".join(f"{value:08x}" for value in sums),
        "keys_crc32": f"{zlib.crc32(packed):08x}",
    }
    with published_file(path) as temporary:
        save_file({"embeddings": embeddings, "keys": packed}, temporary, metadata)


@dataclass(frozen=True)
class Shard:
    """An open shard. Reads are verified; `close` when done."""

    path: Path
    descriptor: int
    rows: int
    dimension: int
    dtype: npt.DTypeLike
    block_rows: int
    checksums: tuple[int, ...]
    embeddings_start: int
    keys_start: int
    keys_checksum: int
    space: str

    @classmethod
    def open(cls, path: Path) -> "Shard":
        """Opens and checks the header; raises CorruptShardError."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return cls._parse(path, descriptor)
        except (ValueError, KeyError, TypeError, OSError) as error:
            os.close(descriptor)
            raise CorruptShardError(f"{path.name}: {error}") from error

    @classmethod
    def _parse(cls, path: Path, descriptor: int) -> "Shard":
        length = int.from_bytes(os.pread(descriptor, 8, 0), "little")
        if not 0 < length < _MAX_HEADER:
            raise ValueError("no header")
        header = json.loads(os.pread(descriptor, length, 8))
        metadata, embeddings, keys = header["__metadata__"], header["embeddings"], header["keys"]
        if metadata["format"] != FORMAT:
            raise ValueError(f"format {metadata['format']!r}")
        rows, dimension = embeddings["shape"]
        size = 8 + length + max(embeddings["data_offsets"][1], keys["data_offsets"][1])
        if os.fstat(descriptor).st_size < size or keys["shape"] != [rows, KEY_BYTES]:
            raise ValueError("truncated")
        sums = tuple(int(text, 16) for text in metadata["block_crc32"].split(",") if text)
        block_rows = int(metadata["block_rows"])
        if len(sums) != -(-rows // block_rows):
            raise ValueError("checksums missing")
        return cls(
            path=path,
            descriptor=descriptor,
            rows=rows,
            dimension=dimension,
            dtype=_DTYPES[embeddings["dtype"]],
            block_rows=block_rows,
            checksums=sums,
            embeddings_start=8 + length + embeddings["data_offsets"][0],
            keys_start=8 + length + keys["data_offsets"][0],
            keys_checksum=int(metadata["keys_crc32"], 16),
            space=metadata["space"],
        )

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of one embedding."""
        return self.dimension * np.dtype(self.dtype).itemsize

    def keys(self) -> Keys:
        """All keys, uint64 [rows, 2]; raises CorruptShardError."""
        data = os.pread(self.descriptor, self.rows * KEY_BYTES, self.keys_start)
        if len(data) != self.rows * KEY_BYTES or zlib.crc32(data) != self.keys_checksum:
            raise CorruptShardError(f"{self.path.name}: keys do not match their checksum")
        return unpack(np.frombuffer(data, np.uint8))

    def block(self, index: int) -> npt.NDArray[np.floating] | None:
        """Block `index` as [<= block_rows, d], or None if it does not match its checksum."""
        start = index * self.block_rows
        count = min(self.block_rows, self.rows - start)
        data = bytearray(count * self.row_bytes)
        read = os.preadv(self.descriptor, [data], self.embeddings_start + start * self.row_bytes)
        if read != len(data) or zlib.crc32(data) != self.checksums[index]:
            return None
        return np.frombuffer(data, self.dtype).reshape(count, self.dimension)

    def close(self) -> None:
        """Closes the file."""
        os.close(self.descriptor)
