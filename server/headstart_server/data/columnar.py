"""Reads Parquet and Arrow IPC, whose compression hides how large they are: what they declare is checked first."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pa_parquet

from headstart_server.data.canonical import validated
from headstart_server.data.expansion import allowed_bytes, too_far
from headstart_server.data.ipc_sizes import declared_bytes, declared_file_bytes
from headstart_server.data.parquet_footer import ColumnChunk, column_chunks

_BATCH_ROWS = 65_536
BATCH_BYTES = 1 << 30
_JOINED_BYTES = 256 << 20
_TYPICAL = 4
"""Rows of a batch may be so many times as large as the average of the file."""
_FILE_MAGIC = b"ARROW1\0\0"


def read_parquet(path: Path, field: str, batch_bytes: int = BATCH_BYTES) -> Iterator[pa.RecordBatch]:
    """Batches of some 65,536 rows, read in fewer at a time where they, or the file's dictionaries, hold long values."""
    with pa_parquet.ParquetFile(path) as file:
        allowed = allowed_bytes(path.stat().st_size)
        chunks = column_chunks(path)
        if sum(chunk.uncompressed_bytes for chunk in chunks) > allowed:
            raise too_far(field, allowed)
        # Uncompressed bytes of an average row.
        size = sum(chunk.uncompressed_bytes for chunk in chunks) // max(1, file.metadata.num_rows)
        most = max(largest_dictionary(path, chunks), _TYPICAL * size)
        rows = max(1, min(_BATCH_ROWS, batch_bytes // max(1, most)))
        yield from _joined(file.iter_batches(batch_size=rows))


def _joined(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Small batches put together again."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if (
            sum(item.num_rows for item in waiting) >= _BATCH_ROWS
            or sum(item.nbytes for item in waiting) > _JOINED_BYTES
        ):
            yield from _one(waiting)
            waiting = []
    yield from _one(waiting)


def _one(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    if len(batches) < 2:
        return batches
    joined: list[pa.RecordBatch] = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return joined


def largest_dictionary(path: Path, chunks: list[ColumnChunk]) -> int:
    """Bytes of the largest dictionary of texts: no value is longer, and any row may repeat it."""
    largest = 0
    with path.open("rb") as file:
        for chunk in chunks:
            if chunk.holds_bytes and chunk.dictionary_offset:
                file.seek(chunk.dictionary_offset)
                # Type and size take twelve bytes at most; where the header is odd, the whole chunk is the bound.
                largest = max(largest, _page_bytes(file.read(16)) or chunk.uncompressed_bytes)
    return largest


def _page_bytes(header: bytes) -> int | None:
    """The uncompressed size in a Parquet page header (Thrift compact: i32 type, i32 size, ...); None if it is none."""
    fields, value, shift = [], 0, 0
    expected = True
    for byte in header:
        if expected:
            if byte != 0x15:  # the next field, an i32
                return None
            expected, value, shift = False, 0, 0
            continue
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            fields.append(value >> 1)  # zigzag; sizes are not negative
            expected = True
            if len(fields) == 2:
                return fields[1]
    return None


def read_arrow(path: Path, field: str) -> Iterator[pa.RecordBatch]:
    """An IPC file, read by its footer, or a stream."""
    with pa.memory_map(str(path)) as source:
        whole = source.read(len(_FILE_MAGIC)) == _FILE_MAGIC
        yield from _file(source, field) if whole else _stream(source, field)


def _file(source: pa.MemoryMappedFile, field: str) -> Iterator[pa.RecordBatch]:
    # First, since Arrow verifies the footer, which `declared_file_bytes` reads by itself.
    reader = pa.ipc.open_file(source)
    source.seek(0)
    _require_bound(declared_file_bytes(memoryview(source.read_buffer())), source.size(), field)
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number)


def read_ipc_bytes(data: bytes, field: str) -> pa.Table:
    """The table of an IPC stream in memory, validated; raises InvalidInputError, or what Arrow raises.

    Nothing but the metadata is read before the validation: even measuring a column trusts its offsets.
    """
    with pa.BufferReader(data) as source:
        return validated(_stream(source, field).read_all(), field)


def _stream(source: pa.NativeFile, field: str) -> pa.RecordBatchReader:
    source.seek(0)
    _require_bound(declared_bytes(source), source.size(), field)
    source.seek(0)
    return pa.ipc.open_stream(source)


def _require_bound(totals: Iterator[int], size: int, field: str) -> None:
    """Raises InvalidInputError as soon as what is declared goes beyond what a file of this size may hold."""
    allowed = allowed_bytes(size)
    for total in totals:
        if total > allowed:
            raise too_far(field, allowed)
