"""Files that cannot be data: refused by column and row, with what to do, before anything fills up."""

from __future__ import annotations

from pathlib import Path

import headstart
import pyarrow as pa
import pytest

BAD_FILES = {
    "empty": (b"", "empty"),
    "header only": (b"review,price,category,verdict\n", "no rows"),
    "ragged": (b"a,b\n1,2\n1,2,3\n", "row 2 holds 3 cells, the header 2"),
    "NUL": (b"a,b\n1,2\n1,\0\n", "column 'b', row 2: holds a NUL byte"),
    "UTF-16 without a mark": ("a,b\n1,2\n".encode("utf-16-le"), "save it as UTF-8"),
    "an endless cell": (b"a,b\n1,2\n1," + b"x" * (17 << 20), "row 1 is larger than"),
    "never closed": (b'a,b\n1,"2\n1,2\n', "never closed"),
    "column twice": (b"a,a\n1,2\n", "'a' occurs 2 times"),
    "not UTF-8": (b"a,b\n\xff\xfe\xfa,2\n", "column 'a', row 1: holds bytes that are not UTF-8"),
    "an image": (b"\x89PNG\r\n\x1a\n" + bytes(100), "the header holds bytes that are not UTF-8"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_refused(case: str, client: headstart.Client, tmp_path: Path) -> None:
    data, fix = BAD_FILES[case]
    path = tmp_path / "data.csv"
    path.write_bytes(data)
    with pytest.raises(headstart.InvalidArgument) as refused:
        client.upload_dataset(path)
    assert fix in str(refused.value)


def test_a_small_file_that_would_fill_the_disk_is_refused(client: headstart.Client, tmp_path: Path) -> None:
    column = pa.RunEndEncodedArray.from_arrays(pa.array([1 << 30], pa.int32()), pa.array(["x" * 1_000]))
    table = pa.table({"a": column})
    with pa.ipc.new_file(str(tmp_path / "x.arrow"), table.schema) as writer:
        writer.write_table(table)
    assert (tmp_path / "x.arrow").stat().st_size < 5_000
    with pytest.raises(headstart.InvalidArgument, match="expands to more than") as refused:
        client.upload_dataset(tmp_path / "x.arrow")
    assert refused.value.reason == "EXPANDS_TOO_FAR"


@pytest.mark.parametrize("ending", ["utf-16", "utf-32"])
def test_a_spreadsheets_encoding_is_read(ending: str, client: headstart.Client, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes("a,b\r\nü,2\r\n".encode(ending))
    dataset = client.upload_dataset(tmp_path / "data.csv")
    assert (list(dataset.columns), dataset.row_count) == (["a", "b"], 1)
