"""A small file that holds much is read piece by piece, or refused before it fills memory or disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data import canonical, expansion
from headstart_server.data.canonical import canonical_batches
from headstart_server.data.columnar import largest_dictionary, read_parquet
from headstart_server.data.formats import Format, read_batches
from headstart_server.data.ipc_sizes import declared_bytes, declared_file_bytes
from headstart_server.data.parquet_footer import column_chunks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MANY = 200_000
TABLE = pa.table(
    {
        "text": [f"word {number % 7}" for number in range(3_000)],
        "number": [0.5] * 3_000,
        "kind": pa.array(["some kind"] * 3_000).dictionary_encode(),
        "list": [[1, 2, 3]] * 3_000,
    }
)


def _ipc(path: Path, table: pa.Table, compression: str | None = None, *, stream: bool = False) -> Path:
    options = pa.ipc.IpcWriteOptions(compression=compression)
    opened: Callable[..., Any] = pa.ipc.new_stream if stream else pa.ipc.new_file
    with opened(str(path), table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=1_000)
    return path


def _declared(path: Path) -> int:
    with pa.memory_map(str(path)) as source:
        if source.read(6) == b"ARROW1":
            return max(declared_file_bytes(memoryview(path.read_bytes())), default=0)
        source.seek(0)
        return max(declared_bytes(source), default=0)


def _refused(path: Path, file_format: Format) -> str:
    with pytest.raises(InvalidInputError) as caught:
        for _ in read_batches(path, file_format, "dataset"):
            pass
    assert caught.value.reason == "EXPANDS_TOO_FAR"
    assert caught.value.field == "dataset"
    return caught.value.message


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_compressed_stream_declares_what_its_uncompressed_twin_holds(
    tmp_path: Path, compression: str, stream: bool
) -> None:
    compressed = _ipc(tmp_path / "compressed", TABLE, compression, stream=stream)
    plain = _ipc(tmp_path / "plain", TABLE, stream=stream)
    assert _declared(compressed) == _declared(plain)
    assert 0.8 * plain.stat().st_size < _declared(plain) < plain.stat().st_size
    assert compressed.stat().st_size < plain.stat().st_size / 3


def test_a_file_declares_its_dictionaries_as_a_stream_does(tmp_path: Path) -> None:
    table = pa.table({"a": pa.array(["x" * 1_000, "y"] * 1_000).dictionary_encode(), "b": range(2_000)})
    file, stream = _ipc(tmp_path / "file", table, "lz4"), _ipc(tmp_path / "stream", table, "lz4", stream=True)
    assert _declared(file) == _declared(stream) > 8 * 2_000 + 4 * 2_000 + 1_000


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_a_file_that_declares_too_much_is_refused_unread(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, path = pa.table({"a": ["\0" * 10_000] * 1_000}), tmp_path / "bomb"
    if ending == "parquet":
        pq.write_table(table, path, compression="zstd", use_dictionary=False)
    else:
        _ipc(path, table, "zstd")
    assert path.stat().st_size < 20_000
    assert sum(batch.num_rows for batch in read_batches(path, Format(ending), "dataset")) == 1_000
    data = bytearray(path.read_bytes())
    place = data.index(b"\x28\xb5\x2f\xfd")  # of what zstd compressed: reading fails from here on
    data[place : place + 8] = b"unread!!"
    path.write_bytes(data)
    with pytest.raises(InvalidInputError, match="not readable as"):
        list(read_batches(path, Format(ending), "dataset"))
    monkeypatch.setattr(expansion, "FLOOR_BYTES", 8_000_000)
    assert "expands to more than 8000000 bytes" in _refused(path, Format(ending))


SMALL_BUT_MANY = {
    "nulls": pa.nulls(MANY),
    "flags": pa.array([True] * MANY),
    "repeated text": pa.DictionaryArray.from_arrays(pa.array([0] * 2_000, pa.int8()), pa.array(["x" * 100_000])),
    "runs": pa.RunEndEncodedArray.from_arrays(pa.array([MANY], pa.int32()), pa.array(["x" * 100])),
    "empty lists": pa.FixedSizeListArray.from_arrays(pa.nulls(MANY * 10), 10),
    "lists of repeated text": pa.FixedSizeListArray.from_arrays(
        pa.DictionaryArray.from_arrays(pa.array([0] * 2_000, pa.int8()), pa.array(["x" * 10_000])), 2
    ),
}


@pytest.mark.parametrize("name", SMALL_BUT_MANY)
def test_a_column_that_says_much_in_few_bytes_is_stopped_by_what_it_yields(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _ipc(tmp_path / "x", pa.table({"a": SMALL_BUT_MANY[name]}), "zstd")
    monkeypatch.setattr(expansion, "FLOOR_BYTES", 1_200_000)
    monkeypatch.setattr(expansion, "RATIO", 1)
    assert "expands" in _refused(path, Format.ARROW)


@pytest.mark.parametrize("name", [*SMALL_BUT_MANY, "map", "struct"])
def test_a_column_is_the_same_however_small_its_chunks_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    others = {
        "map": pa.array([[("k", number)] for number in range(500)], pa.map_(pa.string(), pa.int64())),
        "struct": pa.array([{"a": [number], "b": "x"} for number in range(500)]),
    }
    column = (SMALL_BUT_MANY | others)[name][:500]
    batch = pa.RecordBatch.from_arrays([column], names=["a"])
    [whole] = canonical_batches(batch, "f")
    monkeypatch.setattr(canonical, "CHUNK_BYTES", 20_000)
    parts = list(canonical_batches(batch, "f"))
    assert pa.Table.from_batches(parts).column("a").to_pylist() == whole.column("a").to_pylist()
    assert (len(parts) > 1) == (name not in ("nulls", "flags"))


def test_a_cell_that_nothing_can_hold_is_refused_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    column = pa.array([[1], [1] * 5_000])
    monkeypatch.setattr(canonical, "CHUNK_BYTES", 10_000)
    monkeypatch.setattr(canonical, "MAX_CELL_BYTES", 100_000)
    with pytest.raises(InvalidInputError, match=r"column 'a', row 12: one cell takes more than 100000 bytes"):
        list(canonical_batches(pa.RecordBatch.from_arrays([column], names=["a"]), "f", 10))


def test_the_dictionaries_of_a_parquet_file_are_as_large_as_it_says(tmp_path: Path) -> None:
    words = ["x" * 100_000, "y" * 50_000, "z"]
    pq.write_table(pa.table({"a": words * 100, "n": list(range(300))}), tmp_path / "x", compression="zstd")
    plain = sum(4 + len(word) for word in words)  # PLAIN: a length of four bytes, then the text
    assert largest_dictionary(tmp_path / "x", column_chunks(tmp_path / "x")) == plain


def test_long_words_of_a_dictionary_are_read_a_few_rows_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [letter * 10_000 for letter in "ab"]
    pq.write_table(pa.table({"a": words * 500}), tmp_path / "x", compression="zstd")
    assert (tmp_path / "x").stat().st_size < 3_000
    asked: list[int] = []
    honest = pq.ParquetFile.iter_batches

    def counted(file: pq.ParquetFile, batch_size: int) -> Any:
        asked.append(batch_size)
        return honest(file, batch_size=batch_size)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    batches = list(read_parquet(tmp_path / "x", "dataset", batch_bytes=1 << 20))
    assert asked == [(1 << 20) // 20_008]
    assert pa.Table.from_batches(batches).column("a").to_pylist() == words * 500


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_damaged_sizes_are_read_or_refused(tmp_path: Path, place: int, change: int) -> None:
    data = bytearray(_ipc(tmp_path / "whole", TABLE.slice(0, 20), "zstd").read_bytes())
    data[place % len(data)] ^= change
    (tmp_path / "damaged").write_bytes(data)
    try:
        for batch in read_batches(tmp_path / "damaged", Format.ARROW, "f"):
            batch.validate(full=True)
    except InvalidInputError:
        pass


def test_a_hundred_times_its_size_is_what_a_large_file_may_take() -> None:
    assert expansion.allowed_bytes(1) == 2 << 30
    assert expansion.allowed_bytes(1 << 30) == 100 << 30
