"""Image columns: the bytes of any row, wherever they lie, in any process."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from headstart_server.data.embedded_files import path_of
from headstart_server.data.images.decode import BadImageError, ImageLimits
from headstart_server.data.images.files import ImageFiles


class ImageTable(Protocol):
    """What a column of images needs of a table."""

    @property
    def rows(self) -> pa.Table:
        """Its rows."""

    @property
    def files(self) -> ImageFiles | None:
        """Where the paths in image columns lead."""

    @property
    def file(self) -> Path | None:
        """The Arrow file that holds the rows, if one does."""

    @property
    def row_count(self) -> int:
        """Number of rows."""


@dataclass
class _Piece:
    """The column in one table. Sent to another process, it names the table's file instead of holding its rows."""

    column: str
    files: ImageFiles | None
    file: Path | None
    values: pa.ChunkedArray | None = field(repr=False)

    @classmethod
    def of(cls, table: ImageTable, column: str) -> "_Piece":
        return cls(column, table.files, table.file, table.rows.column(column))

    def value(self, row: int) -> Any:
        if self.values is None:
            assert self.file is not None
            self.values = pa.ipc.open_file(pa.memory_map(str(self.file))).read_all().column(self.column)
        return self.values[row].as_py()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "values": self.values if self.file is None else None}


class ImageColumn:
    """The encoded images of one input: bytes that lie in the cells, or files that the cells name."""

    def __init__(self, tables: Sequence[ImageTable], column: str, limits: ImageLimits) -> None:
        self.limits = limits
        self._pieces = [_Piece.of(table, column) for table in tables]
        self._starts = np.cumsum([0, *(table.row_count for table in tables)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, row: int) -> bytes | None:
        """The file's bytes, or None for a missing cell; raises BadImageError."""
        index = int(np.searchsorted(self._starts, row, side="right")) - 1
        piece = self._pieces[index]
        value = piece.value(row - int(self._starts[index]))
        path = value if isinstance(value, str) else path_of(value) if isinstance(value, bytes) else None
        if path is not None:
            return self._read_file(piece, path)
        if value is None or isinstance(value, bytes):
            return value
        raise BadImageError(f"{value!r} is a number, not an image; give its bytes or its path")

    def _read_file(self, piece: _Piece, path: str) -> bytes:
        if piece.files is None:
            raise BadImageError(f"{path[:120]!r} is text, and there are no files that it could name; send the bytes")
        return piece.files.read(path, self.limits)
