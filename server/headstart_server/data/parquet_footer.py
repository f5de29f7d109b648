"""What a Parquet file's footer says of its column chunks, read in Python.

pyarrow's own view of a damaged column chunk ends the process (an exception of C++ that it does not catch). Sources:
https://github.com/apache/parquet-format (parquet.thrift) and Thrift's compact protocol.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

_MAGIC = b"PAR1"
_BYTE_ARRAY = 6
_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT, _UUID = 0, 1, 2, 3, 7, 8, 9, 10, 11, 12, 13
_VARINT_BITS = 63
_WHOLE = (4, 5, 6)
"""i16, i32 and i64: all zigzag varints."""


@dataclass(frozen=True)
class ColumnChunk:
    """One column of one row group."""

    holds_bytes: bool
    """Whether its physical type is BYTE_ARRAY: texts and bytes."""
    uncompressed_bytes: int
    dictionary_offset: int
    """Where its dictionary's page lies in the file, 0 where it has none."""


def column_chunks(path: Path) -> list[ColumnChunk]:
    """Every column chunk of a file; raises pyarrow.ArrowInvalid where the footer is not readable."""
    try:
        # Fields: FileMetaData.row_groups is 4, RowGroup.columns 1, ColumnChunk.meta_data 3.
        groups = _Thrift(_footer(path)).struct().get(4, [])
        return [_chunk(column[3]) for group in groups for column in group.get(1, [])]
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise pa.ArrowInvalid("the footer is damaged") from error


def _footer(path: Path) -> bytes:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != _MAGIC or length > size - 8:
            raise ValueError("no footer")
        file.seek(size - 8 - length)
        return file.read(length)


def _chunk(metadata: dict[int, Any]) -> ColumnChunk:
    # ColumnMetaData: type is field 1, total_uncompressed_size 6, dictionary_page_offset 11.
    sizes = metadata.get(6, 0), metadata.get(11, 0)
    if not all(isinstance(value, int) for value in sizes):
        raise TypeError("sizes are no numbers")
    return ColumnChunk(metadata.get(1) == _BYTE_ARRAY, max(0, sizes[0]), max(0, sizes[1]))


class _Thrift:
    """Reads structs as dicts by field id: numbers, lists and structs; anything else is passed over as None."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def struct(self) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) & 0x0F != _STOP:
            # The upper half is the distance from the last field's id; where it is 0, the id itself follows.
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 0x0F
            # A field's truth value is its type; an item's takes a byte.
            fields[number] = None if kind in (_TRUE, _FALSE) else self._value(kind)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in _WHOLE:
            return self._zigzag()
        if kind == _STRUCT:
            return self.struct()
        if kind in (_LIST, _SET):
            return self._list()
        if kind == _MAP:
            return self._map()
        if kind == _BINARY:
            return self._skip(self._varint())
        if kind in (_TRUE, _FALSE, _BYTE):
            return self._skip(1)
        return self._skip({_DOUBLE: 8, _UUID: 16}[kind])

    def _list(self) -> list[Any]:
        head = self._byte()
        count = self._varint() if head >> 4 == 15 else head >> 4
        # Every item takes a byte at least, so that a damaged count ends where the footer does.
        return [self._value(head & 0x0F) for _ in range(count)]

    def _map(self) -> None:
        count = self._varint()
        kinds = self._byte() if count else 0
        for _ in range(count):
            self._value(kinds >> 4)
            self._value(kinds & 0x0F)

    def _byte(self) -> int:
        self._place += 1
        return self._data[self._place - 1]

    def _skip(self, count: int) -> None:
        self._place += count
        if self._place > len(self._data):
            raise IndexError("the footer ends too soon")

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > _VARINT_BITS:
                raise ValueError("a number without an end")
        return value | byte << shift

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
