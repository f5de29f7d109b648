"""What parts the cells of a CSV file: told by its beginning, and never wrongly of a table of one column."""

from __future__ import annotations

from pathlib import Path

import pytest
from headstart.files.delimiters import LEAD_CHARACTERS, delimiter_of
from headstart.files.row_files import read_rows
from headstart_server.data.formats import Format, read_batches

CASES = {
    "a,b\n1,2\n": ",",
    "a;b\n1;2\n": ";",
    "a|b\n1|2\n": "|",
    "a\tb\n1\t2\n": "\t",
    "a;b;c\n1,5;2,5;3\n": ";",  # commas of decimals
    'a;b\n"x;y";2\n': ";",
    "a\r\nx\r\n": ",",
    "text\nsmile ;)\nwink ;-)\n": ",",  # one column whose texts hold semicolons
    "a;b\nx\ny;z\n": ",",  # one column, oddly named
    "a,b;c\n1,2;3\n": ",",
    "a;b\n\n1;2\n": ";",
    "": ",",
    "a;b": ";",
}


@pytest.mark.parametrize("text", CASES, ids=ascii)
def test_the_delimiter_is_told_by_the_first_rows(text: str) -> None:
    assert delimiter_of(text) == CASES[text]


def test_the_last_row_of_a_long_beginning_may_be_cut() -> None:
    text = "a;b\n" + f"{'x' * 4_000};{'y' * 4_000}\n" * 20
    assert delimiter_of(text[:LEAD_CHARACTERS]) == ";"
    assert delimiter_of(text[: text.rindex(";") - 1][:LEAD_CHARACTERS]) == ";"


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "with a mark"])
def test_client_and_server_read_the_same_cells(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(mark + 'text;price\n"good; really";1,5\nbad;\n', encoding="utf-8")
    expected = [{"text": "good; really", "price": "1,5"}, {"text": "bad", "price": None}]
    assert list(read_rows(path)) == expected
    assert [row for batch in read_batches(path, Format.CSV, "dataset") for row in batch.to_pylist()] == expected
