"""Arrow tables in files of every kind, and out of messages."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
from headstart.v1.table_pb2 import Table


def write_arrow(table: pa.Table, path: Path) -> Path:
    """Writes a Parquet, Feather or Arrow file by its ending; `stream.arrow` is a stream."""
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path)
    elif path.suffix == ".feather":
        pyarrow.feather.write_feather(table, str(path))
    else:
        create = pa.ipc.new_stream if path.stem == "stream" else pa.ipc.new_file
        with create(str(path), table.schema) as writer:
            writer.write_table(table)
    return path


def read_ipc(message: Table) -> pa.Table:
    """The rows of a message that holds Arrow bytes."""
    return pa.ipc.open_stream(message.arrow_ipc).read_all()
