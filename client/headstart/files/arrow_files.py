"""Read Parquet and Arrow files as tables that the server reads as it does files in training, where pyarrow is there."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from headstart.errors import InvalidArgument
from headstart.files.arrow_images import is_text, with_image_bytes
from headstart.v1.table_pb2 import Table

BATCH_BYTES = 4 << 20
PARQUET = (".parquet", ".pq")
ENDINGS = (*PARQUET, ".arrow", ".feather", ".ipc")


def read_tables(path: Path, most_rows: int, images: Collection[str] = ()) -> Iterator[Table]:
    """Yield a file's rows as tables of at most so many rows and some 4 MiB; `images` columns may hold paths or bytes.

    Raises:
        InvalidArgument: pyarrow is not installed, the file cannot be read, or a file that it names is missing.
    """
    arrow = _pyarrow("pyarrow", path)
    row = 0
    for batch in read_record_batches(path, most_rows):
        for part in _parts(batch, most_rows):
            for whole in with_image_bytes(arrow, part, images, path, row):
                yield Table(arrow_ipc=_ipc(arrow, whole))
            row += part.num_rows


def read_record_batches(path: Path, most_rows: int, columns: list[str] | None = None) -> Iterator[Any]:
    """Yield record batches of some columns or all, validated first: even measuring one trusts its offsets.

    Raises as `read_tables` does.
    """
    arrow = _pyarrow("pyarrow", path)
    read = _read_parquet if path.suffix.lower() in PARQUET else _read_arrow
    try:
        for batch in read(path, most_rows, columns):
            batch.validate(full=True)
            yield batch
    except (arrow.ArrowException, OSError) as error:
        raise InvalidArgument(f"{path} cannot be read: {str(error).splitlines()[0]:.200}") from None


def _pyarrow(name: str, path: Path) -> Any:
    """Import pyarrow only where a file asks for it: the client does without."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        message = f"{path}: reading {path.suffix} needs pyarrow: pip install 'headstart[arrow]'"
        raise InvalidArgument(message, reason="PYARROW_NOT_INSTALLED") from None


def _read_parquet(path: Path, most_rows: int, columns: list[str] | None) -> Iterator[Any]:
    with _pyarrow("pyarrow.parquet", path).ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=most_rows, columns=columns)


def _read_arrow(path: Path, most_rows: int, columns: list[str] | None) -> Iterator[Any]:
    """Yield the batches of either form of Arrow IPC: the file (Feather, too) or the stream."""
    for batch in _read_ipc(_pyarrow("pyarrow", path), path):
        yield batch if columns is None else batch.select(columns)


def _read_ipc(arrow: Any, path: Path) -> Iterator[Any]:
    with arrow.OSFile(str(path)) as source:
        whole = source.read(6) == b"ARROW1"
        source.seek(0)
        if not whole:
            yield from arrow.ipc.open_stream(source)
            return
        file = arrow.ipc.open_file(source)
        for number in range(file.num_record_batches):
            yield file.get_batch(number)


def _parts(batch: Any, most_rows: int) -> Iterator[Any]:
    """Yield slices of a batch that fit a message, however long its texts are."""
    for start in range(0, batch.num_rows, most_rows):
        yield from _halves(batch.slice(start, most_rows))


def _halves(batch: Any) -> Iterator[Any]:
    if batch.num_rows < 2 or batch.nbytes <= BATCH_BYTES:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _halves(batch.slice(0, half))
    yield from _halves(batch.slice(half))


def _ipc(arrow: Any, batch: Any) -> bytes:
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def is_installed() -> bool:
    """Tell whether pyarrow is there."""
    try:
        importlib.import_module("pyarrow")
    except ModuleNotFoundError:
        return False
    return True


def text_columns(path: Path) -> list[str]:
    """Return the names of the columns that hold text; raises as `read_tables` does."""
    first = next(read_record_batches(path, 1), None)
    return [] if first is None else [field.name for field in first.schema if is_text(field.type)]
