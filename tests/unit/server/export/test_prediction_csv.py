"""The artifact's CSV side: what it refuses in a file, and how it writes, with nothing but Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from headstart.files import delimiters
from headstart_server.data.features.cells import split_items

from tests.unit.server.data.test_sets_vectors_and_texts import LONG, WRITTEN
from tests.unit.server.export.test_predict_onnx import RUNTIME

_ECHO = """
import sys
sys.path += {folders!r}
import prediction_csv
outputs = [{{"name": "length", "type": "number", "classes": []}}]
metadata = {{"features": {{"text": {{"column": "text"}}}}, "outputs": outputs}}
prediction_csv.run(metadata, lambda columns, first_row: {{"length": [len(cell) + 0.5 for cell in columns["text"]]}})
"""


_FOLDERS = [str(RUNTIME), str(Path(delimiters.__file__).parent)]
"""Of the script, and of what an artifact holds a copy of."""


def run(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Predicts the length of each text."""
    command = [sys.executable, "-I", "-S", "-c", _ECHO.format(folders=_FOLDERS), *arguments]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"text,other\na,1\n\nbb,2\n", [1.5, 2.5]),
        (b"\xef\xbb\xbftext\r\nabc\r\n", [3.5]),
        (b'other,text\n1,"a\nb, c"\n2,\n', [6.5, 0.5]),
        (b"text\n" + b"x" * 300_000 + b"\n", [300_000.5]),
        (b"text\n" + b"ab\n" * 150, [2.5] * 150),
    ],
    ids=["plain", "bom", "quoted", "long", "batches"],
)
def test_every_row_is_answered_in_order(tmp_path: Path, content: bytes, expected: list[float]) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    found = run(str(path))
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.splitlines() == ["length_prediction", *map(str, expected)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "column 'text' is missing"),
        (b"text\n", "holds no rows"),
        (b"other\n1\n", "column 'text' is missing; the file has 'other'"),
        (b"text,text\n1,2\n", "column 'text' occurs more than once"),
        (b"text,other\na\n", "line 2: 1 cells under 2 columns"),
        (b"text\n\xff\xfe\n", "not UTF-8"),
        (b'text\n"open\n', "line 2: unexpected end of data"),
    ],
    ids=["empty", "no rows", "missing", "twice", "ragged", "latin", "quote"],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    found = run(str(path))
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith(f"error: {path}: {message}")
    assert found.stderr.count("\n") == 1


def test_an_absent_file_or_argument_is_refused_in_one_line(tmp_path: Path) -> None:
    for found in (run(), run(str(tmp_path / "absent.csv"))):
        assert (found.returncode, found.stdout, found.stderr.count("\n")) == (2, "", 1)


def test_a_reader_who_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text\n" + "ab\n" * 50_000)
    reading, writing = os.pipe()
    os.close(reading)
    found = run(str(path), stdout=writing)
    os.close(writing)
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize("separator", [None, ";"])
def test_items_of_a_cell_are_those_that_the_server_finds(separator: str | None) -> None:
    cells = [*WRITTEN, *LONG, "a, b c", "a;b ; c", "a\x1fb c\x1f", ""]
    program = "import json, sys; sys.path += json.loads(sys.argv[1]); import prediction_csv; "
    program += "print(json.dumps([prediction_csv.items(json.loads(sys.argv[2]), c) for c in json.load(sys.stdin)]))"
    command = [sys.executable, "-I", "-S", "-c", program, json.dumps(_FOLDERS), json.dumps(separator)]
    found = subprocess.run(command, input=json.dumps(cells), stdout=subprocess.PIPE, text=True, check=True)
    assert json.loads(found.stdout) == [split_items(cell, separator) for cell in cells]
