"""Files in cells as Hugging Face data sets write them, struct {bytes, path}: as one column of bytes.

A cell with a path alone becomes bytes, too, behind a mark that no image begins with: the type of a column does not
depend on what its cells hold.
"""

import pyarrow as pa
import pyarrow.compute as pc

_MARK = b"\0path\0"
_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)


def holds_files(kind: pa.DataType) -> bool:
    """Whether a column's cells are such structs."""
    if not pa.types.is_struct(kind) or {field.name for field in kind} not in ({"bytes"}, {"bytes", "path"}):
        return False
    path = kind.get_field_index("path")
    return any(test(kind.field("bytes").type) for test in _BYTES) and (
        path < 0 or any(test(kind.field(path).type) for test in _TEXT)
    )


def file_cells(column: pa.StructArray) -> pa.Array:
    """The bytes of each cell, or its path where it has no bytes, as large_binary; missing where it has neither."""
    cells = dict(zip([field.name for field in column.type], column.flatten(), strict=True))
    data = cells["bytes"].cast(pa.large_binary())
    if "path" not in cells or not data.null_count:
        return data
    paths = cells["path"].cast(pa.large_string()).cast(pa.large_binary())
    paths = pc.if_else(pc.equal(pc.binary_length(paths), 0), pa.scalar(None, pa.large_binary()), paths)
    empty = pa.scalar(b"", pa.large_binary())
    return pc.coalesce(data, pc.binary_join_element_wise(pa.scalar(_MARK, pa.large_binary()), paths, empty))


def path_of(cell: bytes) -> str | None:
    """The path that a cell of bytes stands for; None where it holds a file."""
    return cell[len(_MARK) :].decode(errors="replace") if cell.startswith(_MARK) else None
