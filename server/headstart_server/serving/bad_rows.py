"""Finds every row of a column that cannot be read, where reading stops at the first."""

from collections.abc import Callable

from headstart_server.core.errors import BadCellError
from headstart_server.data.features.cells import BadCells

Read = Callable[[int, int], object]
"""Reads rows from the first number up to the second; raises BadCellError for one of them that is bad."""


def refused_rows(read: Read, count: int) -> BadCells:
    """What is wrong with which of so many rows.

    A part of the rows that cannot be read is halved, down to single rows: each row is read once for each time that the
    whole can be halved, at most, however many are bad.
    """
    bad: BadCells = {}
    parts = [(0, count)]
    while parts:
        start, end = parts.pop()
        try:
            read(start, end)
        except BadCellError as error:
            if end - start == 1:
                bad[start] = error
                continue
            middle = (start + end) // 2
            parts += [(middle, end), (start, middle)]
    return bad
