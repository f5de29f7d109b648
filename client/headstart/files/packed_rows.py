"""Rows in memory whose image cells are local files: a table and the files, packed as those of a folder are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from headstart.files.content import BytesContent
from headstart.files.tar import Member, TarContent
from headstart.v1.table_pb2 import Table
from headstart.values.column import is_missing, refuse, shortest_float32
from headstart.values.image_columns import ImageColumns
from headstart.values.table import FrameColumns, cells_of, table_of

NAME = "rows"
Source = Path | bytes


def rows_content(columns: Mapping[str, Sequence[Any]], images: ImageColumns) -> TarContent | None:
    """Return an archive of a JSON Lines table and its images; None where no image column has files or bytes.

    Paths are relative to the working directory. Columns of bytes that are no image columns are left out.

    Raises:
        InvalidArgument: a file is missing, by column and row.
    """
    names = [name for name in images.among(columns) if _holds_images(columns[name], images.certain)]
    if not names:
        return None
    members: dict[Source, str] = {}
    packed = {name: _named(name, columns[name], members, images.is_lenient(name)) for name in names}
    table = table_of(FrameColumns({name: list(packed.get(name, cells)) for name, cells in columns.items()}))
    files = [Member(name, source) for source, name in members.items()]
    return TarContent(f"{NAME}.tar", [Member(f"{NAME}.jsonl", _json_lines(table)), *files])


def table_content(table: Table) -> BytesContent | None:
    """Return a table as a JSON Lines file; None where a column holds bytes, which JSON cannot."""
    if any(column.WhichOneof("values") == "bytes" for column in table.columns):
        return None
    return BytesContent(f"{NAME}.jsonl", _json_lines(table))


def _holds_images(cells: Sequence[Any], certain: bool) -> bool:
    """Tell whether cells are paths, bytes, or texts that name files here: one of them, or most where it is a guess."""
    if any(isinstance(cell, PurePath | bytes | bytearray) for cell in cells):
        return True
    texts = {cell for cell in cells if isinstance(cell, str) and cell}
    here = sum(_is_file(Path(cell)) for cell in texts)
    return here > 0 and (certain or 2 * here > len(texts))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _named(column: str, cells: Sequence[Any], members: dict[Source, str], lenient: bool) -> list[str | None]:
    """Return the names of the cells' files in the archive, noting each file once."""
    names: list[str | None] = []
    for row, cell in enumerate(cells):
        if is_missing(cell) or cell == "":
            names.append(None)
            continue
        if not isinstance(cell, PurePath | str | bytes | bytearray):
            raise refuse(column, row, f"{cell!r:.80} is no image; give a path or the file's bytes")
        source: Source = bytes(cell) if isinstance(cell, bytes | bytearray) else Path(cell)
        if isinstance(source, Path) and not _is_file(source):
            if not lenient:
                raise refuse(column, row, f"there is no file {str(source)!r:.200} here; correct the path")
            names.append(str(source))
            continue
        suffix = source.suffix if isinstance(source, Path) else ""
        # Numbered as they first appear, so that equal rows give equal archives.
        names.append(members.setdefault(source, f"images/{len(members):08}{suffix}"))
    return names


def _json_lines(table: Table) -> bytes:
    """Return the columns of text, numbers and booleans as JSON Lines."""
    columns: dict[str, list[Any]] = {}
    for column in table.columns:
        kind = column.WhichOneof("values") or "strings"
        if kind != "bytes":
            values = [_json_value(kind, value) for value in cells_of(column)]
            nulls = column.nulls or [False] * len(values)
            columns[column.name] = [None if null else value for value, null in zip(values, nulls, strict=True)]
    rows = zip(*columns.values(), strict=True)
    return "".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows).encode()


def _json_value(kind: str, value: Any) -> Any:
    """Return a value that JSON tells alike: float32 as its own shortest text says."""
    if kind == "floats":
        return shortest_float32(value)
    return list(map(shortest_float32, value)) if kind == "vectors" else value
