"""The footer reads as pyarrow reads it where it is whole; damaged, it is refused and the process lives on."""

import contextlib
import io
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.formats import Format, read_batches
from headstart_server.data.parquet_footer import ColumnChunk, column_chunks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TABLE = pa.table(
    {
        "text": ["x", "yy", None] * 50,
        "number": [1.5, None, 3.0] * 50,
        "bool": [True, False, None] * 50,
        "tags": [["a"], [], None] * 50,
        "when": [datetime(2020, 1, 2), None, datetime(2021, 1, 1)] * 50,
    }
)


def _as_pyarrow_reads(path: Path) -> list[ColumnChunk]:
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
    return [
        ColumnChunk(
            chunk.physical_type == "BYTE_ARRAY", chunk.total_uncompressed_size, chunk.dictionary_page_offset or 0
        )
        for chunk in chunks
    ]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_dictionary": False, "compression": "none"},
        {"row_group_size": 7, "compression": "zstd"},
        {"write_statistics": False, "version": "1.0"},
        {"write_page_index": True, "write_page_checksum": True, "data_page_version": "2.0"},
        {"store_decimal_as_integer": True, "use_byte_stream_split": False, "column_encoding": None},
    ],
    ids=lambda options: ",".join(options) or "defaults",
)
def test_it_says_what_pyarrow_says(tmp_path: Path, options: dict[str, Any]) -> None:
    pq.write_table(TABLE.replace_schema_metadata({"a": "b" * 200}), tmp_path / "x", **options)
    assert column_chunks(tmp_path / "x") == _as_pyarrow_reads(tmp_path / "x")


def test_a_file_without_rows_has_a_footer(tmp_path: Path) -> None:
    pq.write_table(TABLE.slice(0, 0), tmp_path / "x")
    assert column_chunks(tmp_path / "x") == _as_pyarrow_reads(tmp_path / "x")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1\xff\xff\xff\xffPAR1", b"\x19\xfc\xff\xff\xff\x0f\x05\0\0\0PAR1"])
def test_what_is_no_footer_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(pa.ArrowInvalid, match="footer"):
        column_chunks(tmp_path / "x")


@pytest.mark.parametrize("footer", [b"\x1c" * 100_000, b"\x15" + b"\x80" * 3_000_000], ids=["structs", "number"])
def test_what_has_no_end_is_refused_at_once(tmp_path: Path, footer: bytes) -> None:
    (tmp_path / "x").write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(pa.ArrowInvalid, match="footer"):
        column_chunks(tmp_path / "x")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path: Path, footer: bytes) -> None:
    (tmp_path / "x").write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    with contextlib.suppress(pa.ArrowInvalid):
        column_chunks(tmp_path / "x")


_EVERY_BIT = """
import sys
from pathlib import Path
from tests.unit.server.data.test_parquet_footer import read_with_every_bit_of_the_footer_changed
print(read_with_every_bit_of_the_footer_changed(Path(sys.argv[1])))
"""


def read_with_every_bit_of_the_footer_changed(path: Path) -> int:
    """Reads a small file once for every bit of its footer; returns how many were refused."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": ["x", "yy", None], "b": [1, 2, 3]}), sink)
    data = sink.getvalue()
    refused = 0
    for place in range(len(data) - 8 - int.from_bytes(data[-8:-4], "little"), len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            try:
                for _ in read_batches(path, Format.PARQUET, "f"):
                    pass
            except InvalidInputError:
                refused += 1
    return refused


def test_no_changed_bit_of_a_footer_ends_the_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _EVERY_BIT, str(tmp_path / "x")]
    done = subprocess.run(command, cwd=Path(__file__).parents[4], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 100
