"""Tell what parts the cells of a CSV file. Needs nothing but Python: exported artifacts hold a copy of this file."""

import csv
import io

LEAD_CHARACTERS = 65_536
"""Of a file, that are enough to tell."""
_OTHERS = (";", "\t", "|")
_ROWS = 50


def delimiter_of(lead: str) -> str:
    """Return the delimiter of a CSV file by its beginning: a comma, unless no comma parts the header and another does.

    Another one is believed where it parts the header and each of the first rows into equally many cells, two or more:
    a table of one column stays one, whatever its texts hold.
    """
    if len(_first_rows(lead, ",")[0]) != 1:
        return ","
    for delimiter in _OTHERS:
        widths = {len(cells) for cells in _first_rows(lead, delimiter)}
        if len(widths) == 1 and widths.pop() > 1:
            return delimiter
    return ","


def _first_rows(lead: str, delimiter: str) -> list[list[str]]:
    """Return the first records; without the last one where the file is longer, as it may be cut."""
    lines = csv.reader(io.StringIO(lead, newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    try:
        for cells in lines:
            rows += [cells] if cells else []
            if len(rows) > _ROWS:
                break
    except csv.Error:
        pass  # the reader of the whole file says where
    whole = len(lead) < LEAD_CHARACTERS or len(rows) > _ROWS
    return (rows if whole else rows[:-1]) or [[]]
