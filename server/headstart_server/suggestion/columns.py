"""What a column is: the type of the feature that is made of it, or why none is."""

import re
from dataclasses import dataclass, field
from typing import Any

from headstart_server.core.errors import InvalidInputError, invalid
from headstart_server.core.reasons import ColumnReason, Reason
from headstart_server.data.features.cells import is_missing_number
from headstart_server.suggestion.profile import ColumnProfile

_IDENTIFIER_NAME = re.compile(
    r"(?i:(^|[_\s.-])(id|ids|uuid|guid|index|idx|key|rowid|row)$|^unnamed: ?0$)|[a-z](Id|ID)$"
)
_YES_NO = ({"yes", "no"}, {"true", "false"}, {"t", "f"}, {"y", "n"}, {"0", "1"}, {"0.0", "1.0"})
_FEW_NUMBERS, _ROWS_A_NUMBER = 10, 30
"""Whole numbers above 0 of so few values, each in so many rows, are categories."""
_MANY_NUMBERS = 30
"""Different numbers of which a column is no category, though some cells hold words."""
_CLASS_NUMBERS, _ROWS_A_CLASS = 20, 5
"""The same of a target."""
_PHRASE_WORDS = 2.5
_LEAST_KNOWN = 5
"""Cells that hold something: of fewer, training rows drawn at random may well have none."""
_MOSTLY = 0.95
_IMAGES = {"preprocessing": {"bad_image_policy": "drop"}}
"""Of images some may be broken, or not be there: the job says which, and goes on."""


@dataclass(frozen=True)
class Finding:
    """What a column is."""

    profile: ColumnProfile
    reason: ColumnReason
    evidence: str
    """In words, with figures."""
    type: str = ""
    """Of the feature; empty: none is made of the column."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Further sections of the feature, as the spec has them."""
    target: bool = False

    @property
    def name(self) -> str:
        """Of the column."""
        return self.profile.name


def judge_input(column: ColumnProfile, *, images_found: bool = True) -> Finding:
    """What an input column is. `images_found`: whether the files are there where its cells are paths of images."""
    return _unusable(column) or _special(column, images_found=images_found) or _numeric(column) or _worded(column)


def judge_target(column: ColumnProfile, path: str) -> Finding:
    """What a column is that is to be predicted; raises InvalidInputError naming `path`."""
    if column.filled == 0:
        raise _refused(path, column, "has no value in any row; choose another column", Reason.ALL_MISSING)
    if column.storage == "bytes" or column.images >= _MOSTLY:
        raise _refused(path, column, "holds images, which can be read but not predicted; choose another column")
    if column.vector_size > 1:
        return Finding(column, ColumnReason.VECTORS, _lengths(column), "vector", target=True)
    if (column.written and column.numbers + column.written >= _MOSTLY) or (
        _MOSTLY <= column.numbers < 1.0 and column.distinct_numbers > _CLASS_NUMBERS
    ):
        why = "written with marks, as" if column.written else "but for some, as"
        message = (
            f"holds numbers {why} {column.odd!r}; write every number plainly, as 1250.5, and leave cells empty that "
            "hold none"
        )
        raise _refused(path, column, message)
    if column.distinct == 1:
        message = f"holds one value only, {column.values[0][:80]!r}: nothing is learned from it; choose another column"
        raise _refused(path, column, message, Reason.ONE_CLASS_ONLY)
    found = _plain_target(column)
    if (word := _missing_word(column)) is not None and (found is None or found.type == "category"):
        others = [value for value in column.values if not is_missing_number(value)]
        if found is not None or {value.lower() for value in others} in _YES_NO:
            message = (
                f"holds {word!r} beside {', '.join(map(repr, others[:4]))}: it would be a class of its own; leave "
                "cells empty that hold no value"
            )
            raise _refused(path, column, message)
    if found is not None:
        return found
    if items := _set_of(column):
        return Finding(column, ColumnReason.ITEMS, items[0], "set", items[1], target=True)
    if column.repeats < 2:
        message = (
            f"holds {column.distinct:,} different values in {column.filled:,} rows, which hardly repeat; a column is "
            "predicted that holds numbers, or a class of each row"
        )
        raise _refused(path, column, message, Reason.NO_REPEATED_LABEL)
    return Finding(column, ColumnReason.FEW_VALUES, _values(column), "category", target=True)


def _plain_target(column: ColumnProfile) -> Finding | None:
    """What a target is of two values that say yes and no, or of numbers."""
    if _yes_no(column):
        return Finding(column, ColumnReason.TWO_VALUES, _values(column), "binary", target=True)
    return _numeric_target(column) if column.numbers == 1.0 else None


def _missing_word(column: ColumnProfile) -> str | None:
    """A word for a missing number among the values of a column of texts, such as `NA`."""
    return next((value for value in column.values if is_missing_number(value)), None)


def _refused(path: str, column: ColumnProfile, message: str, reason: str = Reason.BAD_COLUMN) -> InvalidInputError:
    return invalid(path, f"column {column.name!r} {message}", reason=reason)


def _numeric_target(column: ColumnProfile) -> Finding:
    count, rows = column.distinct_numbers, column.rows - column.missing_numbers
    if count == 2 or (column.integers == 1.0 and count <= _CLASS_NUMBERS and rows >= _ROWS_A_CLASS * count):
        return Finding(column, ColumnReason.FEW_VALUES, _values(column), "category", target=True)
    return Finding(column, ColumnReason.NUMBERS, _range(column), "number", target=True)


def _unusable(column: ColumnProfile) -> Finding | None:
    if column.filled == 0:
        return Finding(column, ColumnReason.EMPTY, "no cell holds anything")
    if column.missing_numbers == column.rows:
        return Finding(column, ColumnReason.EMPTY, "every cell is empty or holds a word for a missing number")
    known = column.filled if column.storage in ("bytes", "vectors") else column.rows - column.missing_numbers
    if known < _LEAST_KNOWN and column.rows > 4 * known:
        return Finding(
            column, ColumnReason.EMPTY, f"{known} of {column.rows:,} cells hold anything: too few to learn from"
        )
    if column.distinct == 1 and column.empty == 0:
        return Finding(column, ColumnReason.CONSTANT, f"every cell holds {_shown(column)}")
    return None


def _special(column: ColumnProfile, *, images_found: bool) -> Finding | None:
    """Images, vectors and dates."""
    if column.storage == "bytes":
        if not images_found:
            return Finding(column, ColumnReason.UNREADABLE, "cells are bytes, and no images")
        return Finding(column, ColumnReason.IMAGES, "cells are the bytes of images", "image", _IMAGES)
    if column.images >= _MOSTLY:
        share = f"{column.images:.0%} of the cells are paths of images, as {_shown(column)}"
        if not images_found:
            return Finding(column, ColumnReason.IMAGES_NOT_FOUND, f"{share}, which lead to no file")
        return Finding(column, ColumnReason.IMAGES, share, "image", _IMAGES)
    if column.vector_size > 1:
        return Finding(column, ColumnReason.VECTORS, _lengths(column), "vector")
    if column.dates >= _MOSTLY:
        evidence = (
            f"{column.dates:.0%} of the cells are dates, as {_shown(column)}; add columns of what matters of them"
        )
        return Finding(column, ColumnReason.DATES, evidence)
    return None


def _numeric(column: ColumnProfile) -> Finding | None:
    if _yes_no(column):
        return Finding(column, ColumnReason.TWO_VALUES, _values(column), "binary")
    if column.numbers < 1.0:
        return None
    count, rows = column.distinct_numbers, column.rows - column.missing_numbers
    whole = column.integers == 1.0
    dense = column.highest - column.lowest < 2 * rows
    if whole and count == rows and rows >= 20 and (dense or _IDENTIFIER_NAME.search(column.name)):
        return Finding(column, ColumnReason.IDENTIFIER, f"{rows:,} whole numbers, each once")
    # numbers that begin with 0 are counts, of which more is more
    if whole and column.lowest > 0 and count <= _FEW_NUMBERS and rows >= _ROWS_A_NUMBER * count:
        return Finding(column, ColumnReason.FEW_VALUES, f"{_values(column)}; each gets a weight of its own", "category")
    return Finding(column, ColumnReason.NUMBERS, _range(column), "number")


def _worded(column: ColumnProfile) -> Finding:
    """Categories, sets, texts and codes."""
    if column.written and column.numbers + column.written >= _MOSTLY:
        evidence = f"numbers, but written with marks, as {column.odd!r}; write them plainly, as 1250.5, or leave it out"
        return Finding(column, ColumnReason.NUMBERS_AND_WORDS, evidence)
    if column.numbers >= _MOSTLY and column.distinct_numbers > _MANY_NUMBERS:
        return Finding(column, ColumnReason.NUMBERS_AND_WORDS, _but_for_some(column))
    if items := _set_of(column):
        return Finding(column, ColumnReason.ITEMS, items[0], "set", items[1])
    few = column.distinct <= max(30, 0.05 * column.filled) and column.repeats >= 2
    words = f"{column.words:.1f} words on average, {column.distinct:,} of {column.filled:,} cells differ"
    if few and (column.words < 8 or column.distinct <= 30):
        return Finding(column, ColumnReason.FEW_VALUES, _values(column), "category")
    if column.words >= _PHRASE_WORDS or column.unspaced >= 0.5:
        return Finding(column, ColumnReason.FREE_TEXT, words, "text")
    if column.numbers >= 0.8 and column.repeats < 5:
        return Finding(column, ColumnReason.NUMBERS_AND_WORDS, _but_for_some(column))
    if column.repeats >= 5:
        return Finding(column, ColumnReason.FEW_VALUES, _values(column), "category")
    if column.unique and (column.digits >= 0.5 or _IDENTIFIER_NAME.search(column.name)):
        return Finding(column, ColumnReason.IDENTIFIER, f"every cell differs, as {_shown(column)}")
    if column.digits >= 0.5:
        evidence = f"{column.distinct:,} different codes in {column.filled:,} cells, as {_shown(column)}"
        return Finding(column, ColumnReason.CODES, evidence)
    return Finding(column, ColumnReason.FREE_TEXT, words, "text")


def _set_of(column: ColumnProfile) -> tuple[str, dict[str, Any]] | None:
    """Evidence that the cells are lists of items that repeat, and the preprocessing that takes them apart."""
    items = column.items
    if items is None or items.per_cell < 1.3 or items.repeats < 5 or items.vocabulary > 2_000:
        return None
    evidence = f"{items.per_cell:.1f} items in a cell on average, of {items.vocabulary:,}"
    if items.separator is None:
        return evidence, {}
    return f"{evidence}, separated by {items.separator!r}", {"preprocessing": {"separator": items.separator}}


def _but_for_some(column: ColumnProfile) -> str:
    return f"{column.numbers:.0%} of the cells are numbers, but not {column.odd!r}; correct those, or leave it out"


def _yes_no(column: ColumnProfile) -> bool:
    return column.distinct == 2 and {value.lower() for value in column.values} in _YES_NO


def _values(column: ColumnProfile) -> str:
    """The values, of many the most frequent ones."""
    shown = ", ".join(value[:30] for value in column.values[:4])
    rows = f"in {column.filled:,} cells"
    if column.distinct <= 4:
        return f"{column.distinct} values {rows}: {shown}"
    return f"{column.distinct:,} values {rows}, the most frequent {shown}"


def _lengths(column: ColumnProfile) -> str:
    return f"{column.vector_size} numbers in every cell"


def _range(column: ColumnProfile) -> str:
    kind = "whole numbers" if column.integers == 1.0 else "numbers"
    holes = f", {column.missing_numbers:,} missing" if column.missing_numbers else ""
    return f"{kind} from {column.lowest:g} to {column.highest:g}{holes}"


def _shown(column: ColumnProfile) -> str:
    return repr(column.values[0][:60]) if column.values else "bytes"
