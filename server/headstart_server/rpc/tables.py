"""Tables on the wire to Arrow tables, with every mistake named by column."""

from collections import Counter
from collections.abc import Collection

import pyarrow as pa
from headstart.v1 import table_pb2

from headstart_server.core.errors import invalid
from headstart_server.core.reasons import Reason
from headstart_server.data.canonical import MAX_COLUMNS
from headstart_server.data.columnar import read_ipc_bytes
from headstart_server.data.features.cells import BadCells
from headstart_server.data.ipc_sizes import declared_rows
from headstart_server.rpc.columns import array_of, row_count

_ARROW_ROW_BYTES = 256
"""About what a text and a few numbers take."""
_MOST_ROWS = 1 << 31
"""In a message: no table of as many fits any limit, and sums of them stay far from what 64 bits hold."""
_MOST_MESSAGES = 1_000
"""Of a stream of Arrow's that are looked at before its rows are taken."""


def arrow_table(
    message: table_pb2.Table, field: str, bad: BadCells | None = None, needed: Collection[str] | None = None
) -> pa.Table:
    """The rows of a message; raises InvalidInputError naming the column.

    What is wrong with single cells goes to `bad` by row, where it is given, and the cells are null. Where it is told
    which columns are needed, the cells of others are not looked at.
    """
    if message.arrow_ipc:
        if message.columns:
            raise invalid(f"{field}.columns", "excludes arrow_ipc; send one of them")
        return _ipc(message.arrow_ipc, field)
    if not message.columns:
        raise invalid(f"{field}.columns", "is empty; send at least one column")
    if len(message.columns) > MAX_COLUMNS:
        said = f"holds {len(message.columns)} columns; send at most {MAX_COLUMNS}"
        raise invalid(f"{field}.columns", said, reason=Reason.TOO_MANY_COLUMNS)
    names = [column.name for column in message.columns]
    times, arrays = Counter(names), list[pa.Array]()
    for index, column in enumerate(message.columns):
        path = f"{field}.columns[{index}]"
        if not column.name:
            raise invalid(f"{path}.name", "is missing")
        if times[column.name] > 1:
            raise invalid(f"{path}.name", f"{column.name!r} occurs {times[column.name]} times; send each column once")
        if needed is None or column.name in needed:
            arrays.append(array_of(column, path, bad))
        else:
            arrays.append(pa.nulls(row_count(column)))
        if len(arrays[-1]) != len(arrays[0]):
            raise invalid(
                path, f"{column.name!r} has {len(arrays[-1])} rows, {names[0]!r} has {len(arrays[0])}; make them equal"
            )
    return pa.Table.from_arrays(arrays, names=names)


def announced(message: table_pb2.Table) -> tuple[int, int]:
    """(rows, bytes) of a message that nobody has read: of Arrow's bytes as many rows as their batches say, or a guess
    where they say nothing."""
    size = message.ByteSize()
    if message.arrow_ipc:
        rows = declared_rows(pa.BufferReader(message.arrow_ipc), _MOST_MESSAGES)
        return max(1, size // _ARROW_ROW_BYTES) if rows is None else min(rows, _MOST_ROWS), size
    return (row_count(message.columns[0]) if message.columns else 0), size


def _ipc(data: bytes, field: str) -> pa.Table:
    try:
        rows = read_ipc_bytes(data, f"{field}.arrow_ipc")
        _require_text_names(rows.schema, f"{field}.arrow_ipc")
        return rows
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise invalid(f"{field}.arrow_ipc", f"is no Arrow IPC stream: {str(error)[:200]}") from None


def _require_text_names(schema: pa.Schema, field: str) -> None:
    """Raises InvalidInputError for names of columns that are not UTF-8: Arrow takes any bytes, and fails when asked."""
    for index in range(len(schema)):
        try:
            str(schema.field(index))
        except UnicodeDecodeError as error:
            name = error.object.decode("utf-8", "backslashreplace")[:80]
            raise invalid(field, f"the name of column {index + 1} is not UTF-8 ({name!r}); rename it") from None
