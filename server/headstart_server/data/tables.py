"""Tables: any data file as one memory-mapped Arrow file, converted once per content."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from headstart_server.core.cached_files import is_sound, seal
from headstart_server.core.digests import file_digest
from headstart_server.core.errors import MAX_VIOLATIONS, InvalidInputError, invalid
from headstart_server.core.files import published_file
from headstart_server.core.reasons import Reason
from headstart_server.core.suggest import choices
from headstart_server.data.canonical import CHUNK_ROWS, as_strings, canonical_batches, validated, why_unreadable
from headstart_server.data.expansion import bounded
from headstart_server.data.formats import Format, format_of, read_batches
from headstart_server.data.images.files import ImageFiles

_CONVERSION = 3
"""Raised whenever the same file is converted to other cells than before."""


@dataclass(frozen=True)
class Table:
    """Rows whose columns are large_string, float64, large_binary, or vectors. `field` names the table in errors."""

    rows: pa.Table
    field: str
    files: ImageFiles | None = None
    """Where the paths in image columns lead."""
    file: Path | None = None
    """The Arrow file that holds the rows, if one does."""
    split_column: str = ""
    """The column of a fixed split that comes with the data."""
    member: str = ""
    """Which table of an archive or folder it is."""
    first_row: int = 0
    """Where its rows begin in the table that errors count in."""

    @property
    def row_count(self) -> int:
        """Number of rows."""
        return int(self.rows.num_rows)

    @cached_property
    def columns(self) -> list[str]:
        """Column names, in the file's order."""
        return list(self.rows.schema.names)

    def chunks(self, column: str) -> Iterator[tuple[int, pa.Array]]:
        """Yields (first row, values) over a column, at most 65,536 rows at a time."""
        start = 0
        for batch in self.rows.select([column]).to_batches(max_chunksize=CHUNK_ROWS):
            if len(batch):
                yield start, batch.column(0)
                start += len(batch)

    def require(self, column: str, field: str, *, suggest: bool = True) -> None:
        """Raises InvalidInputError naming `field` if the column is absent, or of a type that has no text here.

        To suggest another compares its name with that of every column.
        """
        if column not in self.columns:
            where = f"the table {self.member[:200]!r} of {self.field}" if self.member else self.field
            known = choices(column, self.columns, "its columns") if suggest else ""
            message = f"column {column!r} is not in {where}{known}"
            raise invalid(field, message, reason=Reason.MISSING_COLUMN)
        if why := why_unreadable(self.rows.schema.field(column)):
            raise invalid(field, f"column {column!r} {why}", reason=Reason.UNREADABLE_DATA)

    def require_all(self, columns: Iterable[str], named: Mapping[str, str] = MappingProxyType({})) -> None:
        """As `require` of all columns at once: of those that a request names by the field that does (`named`, column by
        field), of others by the table's own."""
        errors = list[InvalidInputError]()
        for field, column in (*((self.field, column) for column in columns), *named.items()):
            try:
                self.require(column, field, suggest=len(errors) < MAX_VIOLATIONS)
            except InvalidInputError as error:
                errors.append(error)
        if errors:
            raise InvalidInputError.of_all(errors, Reason.MISSING_COLUMN)


def open_table(path: Path, file_format: Format | None, cache: Path, field: str) -> Table:
    """Opens a data file, converting it on first sight to `cache`/{digest}.arrow.

    Raises InvalidInputError naming `field` for unreadable or empty files.
    """
    file_format = file_format or format_of(path.name, field)
    converted = cache / f"{file_digest(path)}-{file_format}-{_CONVERSION}.arrow"
    rows = _read(converted)
    if rows is None:
        _convert(path, file_format, converted, field)
        rows = _read(converted)
    if rows is None or rows.num_rows == 0:
        raise invalid(field, "holds no rows; it needs at least one below the header", reason=Reason.EMPTY_DATA)
    return Table(rows, field, file=converted)


def table_of_arrow(rows: pa.Table, field: str, *, vectors: bool = False) -> Table:
    """A table of rows that are in memory already; `vectors`: see `canonical_batches`."""
    # Validated before anything copies or measures: both trust the offsets that somebody sent.
    whole = validated(rows, field).combine_chunks().to_batches()
    parts = (part for batch in whole for part in canonical_batches(batch, field, vectors=vectors))
    batches = list(bounded(parts, rows.nbytes, field))
    if not batches or rows.num_rows == 0:
        raise invalid(field, "holds no rows", reason=Reason.EMPTY_DATA)
    return Table(pa.Table.from_batches(batches), field)


def _read(converted: Path) -> pa.Table | None:
    """The converted file, memory-mapped; None if it is not there or not what was converted."""
    if not is_sound(converted):
        return None
    try:
        rows = pa.ipc.open_file(pa.memory_map(str(converted))).read_all()
    except (pa.ArrowException, OSError):
        return None
    return rows


def _convert(path: Path, file_format: Format, converted: Path, field: str) -> None:
    with published_file(converted) as temporary:
        schema: pa.Schema | None = None
        with temporary.open("wb") as sink:
            writer = None
            for batch in read_batches(path, file_format, field):
                if writer is None:
                    schema = batch.schema
                    writer = pa.ipc.new_file(sink, schema)
                writer.write_batch(_conform(batch, schema, field))
            if writer is None:
                raise invalid(field, "holds no rows; it needs at least one below the header", reason=Reason.EMPTY_DATA)
            writer.close()
    # Without its seal a file is a miss, so that nothing half done is ever read.
    seal(converted)


def _conform(batch: pa.RecordBatch, schema: pa.Schema, field: str) -> pa.RecordBatch:
    """A later batch in the first one's types (an all-null first batch reads as strings)."""
    if batch.schema.equals(schema):
        return batch
    if batch.schema.names != schema.names:
        raise invalid(field, "its parts have different columns", reason=Reason.UNREADABLE_DATA)
    return batch.cast(schema)


def _strings(table: Table, column: str) -> pa.ChunkedArray:
    try:
        return pa.chunked_array([as_strings(values) for _, values in table.chunks(column)], pa.large_string())
    except (pa.ArrowException, InvalidInputError):
        raise invalid(
            table.field, f"column {column!r} holds bytes here and something else elsewhere; make the types equal"
        ) from None


@dataclass(frozen=True)
class Sources:
    """The tables of one job laid end to end: training rows, then validation, then test where they were given."""

    tables: tuple[Table, ...]
    roles: tuple[str, ...]

    @cached_property
    def rows(self) -> Table:
        """All rows, one after the other; no copy but of columns whose type differs, which become strings."""
        columns = [name for name in self.tables[0].columns if all(name in table.columns for table in self.tables)]
        kinds = {name: {table.rows.schema.field(name).type for table in self.tables} for name in columns}
        parts = []
        for table in self.tables:
            arrays = [table.rows.column(name) if len(kinds[name]) == 1 else _strings(table, name) for name in columns]
            parts.append(pa.Table.from_arrays(arrays, names=columns))
        return Table(pa.concat_tables(parts), self.tables[0].field)

    @cached_property
    def starts(self) -> list[int]:
        """First row of each table, and the number of all rows."""
        return [0, *np.cumsum([table.row_count for table in self.tables]).tolist()]

    def locate(self, row: int) -> str:
        """`row 17 of dataset`: see `place`."""
        source, number = self.place(row)
        return f"row {number} of {source}"

    def place(self, row: int) -> tuple[str, int]:
        """Where a row of the whole lies: its table's field, and its number there, from 1 without the header."""
        index = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self.tables[index].field, row - self.starts[index] + 1
