"""How large an Arrow IPC stream or file says that it is, before anything of it is decompressed.

Format: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc. pyarrow
keeps the buffers' sizes to itself, so the flatbuffers that hold them are read here; Arrow has verified them by then.
"""

import struct
from collections.abc import Iterator

import pyarrow as pa

_HEADER, _DATA, _LENGTH, _BUFFERS, _COMPRESSION = 2, 1, 0, 2, 3
"""Fields of Message, DictionaryBatch and RecordBatch in `Message.fbs`."""
_DICTIONARIES, _BATCHES, _BLOCK_BYTES, _MAGIC = 2, 3, 24, b"ARROW1"
"""Fields of Footer in `File.fbs`, the size of a Block, and what ends a file."""


def declared_bytes(source: pa.NativeFile) -> Iterator[int]:
    """The running total, after each message, of the sizes that its buffers will have."""
    total = 0
    for message in pa.ipc.MessageReader.open_stream(source):
        if message.type in ("record batch", "dictionary"):
            total += _message_bytes(message)
            yield total


def declared_rows(source: pa.NativeFile, most_messages: int) -> int | None:
    """How many rows the batches of a stream say that they have; None of one that is no stream, or has more messages."""
    total = 0
    try:
        for number, message in enumerate(pa.ipc.MessageReader.open_stream(source)):
            if number >= most_messages:
                return None
            if message.type == "record batch":
                data = memoryview(message.metadata)
                slot = _slot(data, _table(data, 0, _HEADER, root=True), _LENGTH)
                total += max(0, _read("<q", data, slot)) if slot else 0
    except (pa.ArrowException, OSError, struct.error):
        return None
    return total


def declared_file_bytes(file: memoryview) -> Iterator[int]:
    """As `declared_bytes`, of a file: of every batch that its footer names, as often as it names it.

    Arrow must have read the footer before. Batches are found as Arrow finds them, by the footer alone: what writers
    put between them need not be a stream (polars begins with a schema that is no message).
    """
    total = 0
    for offset, length in _blocks(file):
        if not 0 <= offset <= offset + length <= len(file):
            raise pa.ArrowInvalid("its footer names batches that lie outside of it")
        message = pa.ipc.read_message(pa.BufferReader(pa.py_buffer(file[offset:])))
        # The body lies where the block says: Arrow reads it there, whatever length the message gives itself.
        total += _message_bytes(message, file[offset + length :])
        yield total


def _blocks(file: memoryview) -> Iterator[tuple[int, int]]:
    """(offset, bytes of metadata) of each dictionary and each record batch, by the footer."""
    # A file ends in its footer, the footer's length (i32) and the magic.
    end = len(file) - len(_MAGIC) - 4
    try:
        footer = file[end - _read("<i", file, end) : end]
        root = _read("<I", footer, 0)
        for field in (_DICTIONARIES, _BATCHES):
            slot = _slot(footer, root, field)
            vector = slot + _read("<I", footer, slot) if slot else 0
            # A damaged count ends at the footer's end, as struct.error.
            for index in range(_read("<I", footer, vector) if slot else 0):
                # A Block is offset (i64), metaDataLength (i32), four bytes of padding and bodyLength (i64).
                yield struct.unpack_from("<qi", footer, vector + 4 + _BLOCK_BYTES * index)
    except struct.error:
        raise pa.ArrowInvalid("its footer is damaged") from None


def _message_bytes(message: pa.ipc.Message, body: memoryview | None = None) -> int:
    data = memoryview(message.metadata)
    body = memoryview(message.body) if body is None else body
    try:
        header = _table(data, 0, _HEADER, root=True)
        batch = _table(data, header, _DATA) if message.type == "dictionary" else header
        slot, compressed = _slot(data, batch, _BUFFERS), bool(_slot(data, batch, _COMPRESSION))
        if not slot:
            return 0
        vector = slot + _read("<I", data, slot)
        count = _read("<I", data, vector)
        buffers = [struct.unpack_from("<qq", data, vector + 4 + 16 * index) for index in range(count)]
        return sum(_buffer_bytes(body, offset, length, compressed) for offset, length in buffers)
    except struct.error:
        raise pa.ArrowInvalid("its metadata is damaged") from None


def _buffer_bytes(body: memoryview, offset: int, length: int, compressed: bool) -> int:
    """A compressed buffer begins with its size, or with -1 where it is stored as it is."""
    if not compressed or length < 8:
        return max(0, length)
    declared = _read("<q", body, offset)
    return declared if declared >= 0 else length - 8


def _table(data: memoryview, at: int, field: int, *, root: bool = False) -> int:
    """Where the table lies that a field of the table at `at` (or of the root) points to."""
    table = at + _read("<I", data, at) if root else at
    slot = _slot(data, table, field)
    if not slot:
        raise struct.error
    return slot + _read("<I", data, slot)


def _slot(data: memoryview, table: int, field: int) -> int:
    """Where a field of a table lies; 0 if it is absent."""
    vtable = table - _read("<i", data, table)
    # A vtable begins with its own size and the table's (u16 each); fields beyond its end are absent.
    entry = 4 + 2 * field
    if entry >= _read("<H", data, vtable):
        return 0
    offset = _read("<H", data, vtable + entry)
    return table + offset if offset else 0


def _read(layout: str, data: memoryview, at: int) -> int:
    # unpack_from takes a negative offset for one from the end.
    if at < 0:
        raise struct.error
    [value] = struct.unpack_from(layout, data, at)
    return int(value)
