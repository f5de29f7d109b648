"""Rows of a data set as a model is asked about them, some at a time: images as the bytes of their files."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from headstart_server.core.errors import invalid
from headstart_server.core.reasons import Reason
from headstart_server.data.features.cells import BadCells
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.images.column import ImageColumn
from headstart_server.data.images.decode import BadImageError, ImageLimits
from headstart_server.data.tables import Table

_BYTES = 32 << 20
"""Of cells and images that are read at a time."""


@dataclass(frozen=True)
class TableRows:
    """Some rows of a data set, in the columns that the model reads."""

    cells: pa.Table
    bad: BadCells
    """What is wrong with images of them, by their place here."""

    @property
    def count(self) -> int:
        """Number of rows."""
        return int(self.cells.num_rows)


class TableReader:
    """Reads rows of a table.

    Args:
        table: The data set.
        inputs: Of the model.
        limits: What images may be.
        most: Rows to read at a time.
    """

    def __init__(self, table: Table, inputs: Sequence[FittedFeature], limits: ImageLimits, most: int) -> None:
        self._table, self._most = table, most
        known = [feature for feature in inputs if feature.spec.source in table.columns]
        self._columns = list(dict.fromkeys(feature.spec.source for feature in known))
        images = dict.fromkeys(feature.spec.source for feature in known if feature.spec.type == "image")
        self._images = {column: ImageColumn([table], column, limits) for column in images}

    def rows(self, start: int) -> TableRows:
        """The rows from a number on, at least one, at most so many, and no more bytes than are read at a time."""
        rows = self._table.rows.select(self._columns).slice(start, self._most)
        while rows.num_rows > 1 and rows.nbytes > _BYTES:
            rows = rows.slice(0, rows.num_rows // 2)
        cells: dict[str, list[bytes | None]] = {column: [] for column in self._images}
        bad: BadCells = {}
        size = count = 0
        while count < rows.num_rows and (size < _BYTES or not self._images):
            for column, images in self._images.items():
                image = self._image(images, column, start, count, bad)
                cells[column].append(image)
                size += len(image or b"")
            count += 1
        rows = rows.slice(0, count)
        for column, read in cells.items():
            place = rows.schema.get_field_index(column)
            rows = rows.set_column(place, column, pa.array(read, pa.large_binary()))
        return TableRows(rows, bad)

    def _image(self, images: ImageColumn, column: str, start: int, row: int, bad: BadCells) -> bytes | None:
        try:
            return images.read(start + row)
        except BadImageError as error:
            message = f"column {column!r}, row {start + row + 1}: {error}"
            bad[row] = invalid("dataset", message, reason=Reason.BAD_IMAGE)
            return None
