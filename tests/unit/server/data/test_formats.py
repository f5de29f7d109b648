"""Files of every format become the same columns, or are refused by name and row."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data import delimited
from headstart_server.data.formats import format_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.tables import cells_of, read_bytes, refusal


@pytest.mark.parametrize(
    ("data", "columns"),
    [
        (b"a,b\n1,2\n", {"a": ["1"], "b": ["2"]}),
        (b"a,b\n1,2", {"a": ["1"], "b": ["2"]}),
        (b"\xef\xbb\xbfa,b\n1,2\n", {"a": ["1"], "b": ["2"]}),
        (b"a,b\r\n1,2\r\n", {"a": ["1"], "b": ["2"]}),
        (b'a,b\n"x\ny",2\n', {"a": ["x\ny"], "b": ["2"]}),
        (b'a,b\n1,"x, ""y"""\n\n', {"a": ["1"], "b": ['x, "y"']}),
        (b'a,b\n1,"x\n" \n', {"a": ["1"], "b": ["x\n "]}),
        ('a,b\n1,"x,y"\n'.encode("utf-16"), {"a": ["1"], "b": ["x,y"]}),
        (b'a,b\n"x, ""y""",2\n', {"a": ['x, "y"'], "b": ["2"]}),
        (b'"a\nb",c\n1,2\n', {"a\nb": ["1"], "c": ["2"]}),
        (b'\xef\xbb\xbf"a",b\n1,2\n', {"a": ["1"], "b": ["2"]}),
        (b"a,b\n007,1e5\n", {"a": ["007"], "b": ["1e5"]}),
        (b"a,b\n,\n", {"a": [None], "b": [None]}),
        (b'a,b\n"",""\n', {"a": [None], "b": [None]}),
        (b"a,b\nNA,null\n", {"a": ["NA"], "b": ["null"]}),
        (b"a,b\ntrue,2020-01-01\n", {"a": ["true"], "b": ["2020-01-01"]}),
        (b"a,b\n\n1,2\n\n", {"a": ["1"], "b": ["2"]}),
        (b"a\n1\n", {"a": ["1"]}),
        ("a\nü€😀\n".encode(), {"a": ["ü€😀"]}),
        (b"a,b\r1,2\r3,4\r", {"a": ["1", "3"], "b": ["2", "4"]}),
        (b'a,"b\r2"\r1,"x\ry"\r', {"a": ["1"], "b\r2": ["x\ry"]}),
        ("a,b\nü😀,2\n".encode("utf-16"), {"a": ["ü😀"], "b": ["2"]}),
        (b"\xfe\xff" + "a,b\nü😀,2\n".encode("utf-16-be"), {"a": ["ü😀"], "b": ["2"]}),
        ("a,b\r\nü😀,2\r\n".encode("utf-32"), {"a": ["ü😀"], "b": ["2"]}),
    ],
)
def test_csv_cells_are_the_text_that_was_written(tmp_path: Path, data: bytes, columns: dict[str, object]) -> None:
    assert cells_of(read_bytes(tmp_path, "f.csv", data)) == columns


def test_tsv_is_separated_by_tabs_and_commas_are_text(tmp_path: Path) -> None:
    assert cells_of(read_bytes(tmp_path, "f.tsv", b"a\tb\n1,5\tx y\n")) == {"a": ["1,5"], "b": ["x y"]}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"a,b\n", "no rows"),
        (b"a,b", "not readable"),
        (b"\n\n", "no header"),
        (b" , \n1,2\n", "no header"),
        (b"a,b\n1,2\n1,2,3\n", "row 2 holds 3 cells, the header 2: '1,2,3'"),
        (b"a,b\n1,2\n1\n", "row 2 holds 1 cells, the header 2: '1'"),
        (b"a,b,a\n1,2,3\n", "'a' occurs 2 times"),
        (b"a,b\nx,1\n\xff\xfe,2\n", "column 'a', row 2: holds bytes that are not UTF-8"),
        (b'a,b\n"never closed,2\n3,4\n', "row 1 holds 1 cells, the header 2: '\"never closed,2"),
        (b'a,b\n1,2\n"never closed,2\n3,4\n', "a quote that it opens is never closed"),
        (b'a,b\n1,2\n3,"4\n5,6\n', "row 2 opens a quote that is never closed"),
        (b'a,b\n1,2\n3,"4,5', "row 2 opens a quote that is never closed"),
        ('a,b\n1,2\n3,"4\n5,6\n'.encode("utf-16"), "row 2 opens a quote that is never closed"),
        (b"a,b\n\n1,2\n\n1,2,3\n", "row 2 holds 3 cells, the header 2: '1,2,3'; quote cells"),
        (b"a,b\n1,2\n3,x\0y\n", "column 'b', row 2: holds a NUL byte; remove it, or"),
        (b"a\0,b\n1,2\n", "the header holds NUL bytes"),
        (b"a,\xff\n1,2\n", "the header holds bytes that are not UTF-8"),
        (b"\x89PNG\r\n\x1a\n", "the header holds bytes that are not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "where the file is UTF-16, save it as UTF-8"),
        (b"a,b\n1,2\n3," + b"x" * (20 << 20) + b"\n", "row 1 is larger than 8388608 bytes"),
        (b"a," + b"x" * 200_000 + b"\n1,2\n", "the header is not readable"),
        (b",".join(b"%d" % number for number in range(20_001)) + b"\n", "holds 20001 columns; keep at most 20000"),
    ],
)
def test_broken_csv_is_refused_by_name_and_row(tmp_path: Path, data: bytes, words: str) -> None:
    assert words in refusal(tmp_path, "f.csv", data)


def test_a_csv_larger_than_a_block_keeps_every_row_and_its_quoted_newlines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 4_096)
    rows = [(str(number), f"line\n{number}, " + "x" * (number % 200)) for number in range(500)]
    data = "n,t\n" + "".join(f'{number},"{text}"\n' for number, text in rows)
    table = read_bytes(tmp_path, "f.csv", data.encode())
    assert list(zip(*cells_of(table).values(), strict=True)) == rows


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x1f\r\0"), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8))
def test_csv_written_by_python_reads_back(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    import csv
    import io

    sink = io.StringIO()
    writer = csv.writer(sink, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("a", "b"), *rows])
    table = read_bytes(tmp_path, "f.csv", sink.getvalue().encode())
    assert list(zip(*cells_of(table).values(), strict=True)) == [tuple(cell or None for cell in row) for row in rows]


def test_json_lines_become_text_with_missing_cells_where_keys_are_absent(tmp_path: Path) -> None:
    lines = [
        {"a": "x", "n": 1},
        {"a": None, "n": 2.5, "late": True},
        {"a": "", "n": 10**30},
        {"set": ["science fiction", "drama"], "a": "y"},
        {"set": ["science fiction"], "vector": [1, 2.5], "nested": {"b": 1, "a": [2]}},
        {"set": [], "vector": [1, None]},
    ]
    data = "\ufeff" + "\n\n".join(map(json.dumps, lines)) + "\n"
    columns = cells_of(read_bytes(tmp_path, "f.jsonl", data.encode()))
    assert columns == {
        "a": ["x", None, None, "y", None, None],
        "n": ["1", "2.5", "1" + "0" * 30, None, None, None],
        "late": [None, "true", None, None, None, None],
        "set": [None, None, None, "science fiction\x1fdrama\x1f", "science fiction\x1f", "\x1f"],
        "vector": [None, None, None, None, "1\x1f2.5\x1f", "1\x1f\x1f"],
        "nested": [None, None, None, None, '{"a": [2], "b": 1}', None],
    }


def test_one_array_of_json_is_read_as_its_objects_a_line(tmp_path: Path) -> None:
    rows = [{"a": 1.0, "b": "x"}, {"a": 2.5}, {"a": float("nan"), "b": [True, "c d"]}]
    lines = cells_of(read_bytes(tmp_path, "f.jsonl", "\n".join(map(json.dumps, rows)).encode()))
    assert cells_of(read_bytes(tmp_path, "f.json", json.dumps(rows, indent=1).encode())) == lines
    assert lines == {"a": ["1", "2.5", None], "b": ["x", None, "true\x1fc d\x1f"]}
    assert "item 2 is not a JSON object but int" in refusal(tmp_path, "f.json", b'[{"a": 1}, 2]')


def test_json_lines_in_utf_16_are_read(tmp_path: Path) -> None:
    data = '{"a": "ü😀"}\r\n{"a": "x"}\r\n'.encode("utf-16")
    assert cells_of(read_bytes(tmp_path, "f.jsonl", data)) == {"a": ["ü😀", "x"]}


def test_json_lines_of_many_keys_are_refused(tmp_path: Path) -> None:
    data = "\n".join(f'{{"key {number}": 1}}' for number in range(20_001)).encode()
    assert "holds 20001 columns; keep at most 20000" in refusal(tmp_path, "f.jsonl", data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"a": 1}\n{"a": \n', "line 2 is not JSON"),
        (b'{"a": 1}\n\n[1, 2]\n', "line 3 is not a JSON object but list"),
        (b'{"a": ' + b"1" * 5_000 + b"}\n", "line 1 is not JSON"),
        (b'{"a": 1}\n\n{"a": "\\ud800"}\n', "line 3 column 'a' holds bytes that are not UTF-8, or half"),
        (b'{"a": 1}\n{"a": "\xff"}\n', "line 2 column 'a' holds bytes that are not UTF-8"),
        (b'{"a": ' + b"[" * 100_000 + b"}\n", "line 1 is not JSON"),
        (b'{"a": 1}\n{"a": ' + b"[" * 40 + b"]" * 40 + b"}\n", "line 2 is nested more than 32 deep"),
        (b'{"a": ' + b"[" * 600 + b"]" * 600 + b"}\n", "line 1 is nested more than 32 deep"),
        (b'{"\\ud800": 1}\n', "line 1 column"),
        (b"\n\n", "no rows"),
        (b"{}\n{}\n", "no rows"),
    ],
)
def test_broken_json_lines_are_refused_by_line(tmp_path: Path, data: bytes, words: str) -> None:
    assert words in refusal(tmp_path, "f.jsonl", data)


def test_columns_of_one_name_are_refused_in_every_format(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pa.ipc.new_file(str(tmp_path / "x"), table.schema) as writer:
        writer.write_table(table)
    assert "'a' occurs 2 times" in refusal(tmp_path, "f.arrow", (tmp_path / "x").read_bytes())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.CSV", "csv"),
        ("a.b.tsv", "tsv"),
        ("x.ndjson", "jsonl"),
        ("x.json", "jsonl"),
        ("x.pq", "parquet"),
        ("x.ipc", "arrow"),
    ],
)
def test_endings_name_formats(name: str, expected: str) -> None:
    assert format_of(name, "f") == expected


@pytest.mark.parametrize("name", ["data", "data.xlsx", "", ".", "csv"])
def test_other_endings_are_refused_with_those_that_are_known(name: str) -> None:
    with pytest.raises(InvalidInputError, match=r"\.csv, \.tsv, \.jsonl, \.parquet, \.arrow"):
        format_of(name, "f")
