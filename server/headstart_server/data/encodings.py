"""The encoding of a text file: UTF-8 unless its byte order mark says UTF-16 or UTF-32, as spreadsheets save them."""

import codecs
from pathlib import Path

_MARKS = (
    # UTF-32's little-endian mark begins with UTF-16's, so it is looked for before that.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(path: Path) -> str:
    """`utf-8-sig`, `utf-16` or `utf-32`: each reads its mark, and UTF-8 may go without."""
    with path.open("rb") as file:
        start = file.read(4)
    return next((encoding for mark, encoding in _MARKS if start.startswith(mark)), "utf-8-sig")
