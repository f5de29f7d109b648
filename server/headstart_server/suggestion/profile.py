"""Figures of one column, from which its type is told."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headstart_server.data.canonical import LIST_SEPARATOR, as_strings
from headstart_server.data.features.cells import missing_numbers, split_items

MOST_ROWS, LEAST_ROWS, MOST_CELLS = 100_000, 2_000, 5_000_000
"""Rows that are looked at, of more as many at even distances; of wide tables fewer, but not below the least."""
_ITEM_ROWS = 2_000
"""Cells that are taken apart into items."""
_LONG_VECTOR = 8
"""Numbers from which on a cell is taken for a vector, even of whole ones."""
SEPARATORS = (";", "|", ",")
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_INTEGER = r"^[+-]?[0-9]+(\.0*)?$"
_DATE = (
    r"^([0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}[-/.][0-9]{1,2}[-/.]([0-9]{4}|[0-9]{2}))"
    r"([T ][0-9]{1,2}:[0-9]{2}.*)?$"
)
_WRITTEN = (
    r"^[$€£¥]?\s?[+-]?("
    r"[0-9]{1,3}([,' ][0-9]{3})+(\.[0-9]+)?|[0-9]{1,3}(\.[0-9]{3})+,[0-9]+|[0-9]+,[0-9]{1,2}|[0-9]+(\.[0-9]+)?"
    r")\s?[%$€£¥]?$"
)
"""Numbers as people write them: 1,250.50 and 1.250,50, 12,5, $3 and 12 %."""
_IMAGE = r"(?i)\.(jpe?g|png|gif|bmp|webp|tiff?)$"
_VECTOR = re.compile(r"[\[(]?\s*[-+0-9.eE]+(?:[\s,;]+[-+0-9.eE]+)+\s*[\])]?")
_WRITTEN_ONE = re.compile(_WRITTEN)


@dataclass(frozen=True)
class Items:
    """Cells as lists of items."""

    separator: str | None
    """None: the cells are lists."""
    vocabulary: int
    per_cell: float
    repeats: float
    """Times that an item occurs, on average."""


@dataclass(frozen=True)
class ColumnProfile:
    """One column in figures. Shares are of the cells that are not empty."""

    name: str
    storage: str
    """`text`, `number`, `bytes` or `vectors`: how the column is held."""
    rows: int
    empty: int
    distinct: int
    most_frequent: int
    """Cells that hold the most frequent value."""
    values: tuple[str, ...] = ()
    """The most frequent ones, at most 20."""
    missing_numbers: int = 0
    """Cells that are empty or hold a word for a missing number."""
    numbers: float = 0.0
    integers: float = 0.0
    """Shares of the cells that are not missing numbers."""
    lowest: float = 0.0
    highest: float = 0.0
    distinct_numbers: int = 0
    odd: str = ""
    """The first cell that is no number."""
    written: float = 0.0
    """Share of the cells that are not missing numbers, but are numbers with marks for people."""
    dates: float = 0.0
    images: float = 0.0
    words: float = 0.0
    """Of a cell, on average."""
    digits: float = 0.0
    """Share of cells with a digit."""
    unspaced: float = 0.0
    """Share of cells with letters of a script that puts no spaces between words."""
    vector_size: int = 0
    """Numbers in each cell, where all hold equally many."""
    items: Items | None = None

    @property
    def filled(self) -> int:
        """Cells that are not empty."""
        return self.rows - self.empty

    @property
    def repeats(self) -> float:
        """Times that a value occurs, on average."""
        return self.filled / max(1, self.distinct)

    @property
    def unique(self) -> bool:
        """Whether no value occurs twice."""
        return self.distinct == self.filled


def sampled(rows: pa.Table) -> pa.Table:
    """The rows of a table that are looked at."""
    most = min(MOST_ROWS, max(LEAST_ROWS, MOST_CELLS // max(1, rows.num_columns)))
    if rows.num_rows <= most:
        return rows
    return rows.take(np.linspace(0, rows.num_rows - 1, most).astype(np.int64))


def profile(name: str, column: pa.ChunkedArray) -> ColumnProfile:
    """The figures of one column of a canonical table."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_large_binary(values.type):
        counts = pc.value_counts(values.drop_null())
        most = pc.max(counts.field("counts")).as_py() or 0
        return ColumnProfile(name, "bytes", len(values), values.null_count, len(counts), most)
    if pa.types.is_fixed_size_list(values.type):
        filled = len(values) - values.null_count
        return ColumnProfile(
            name, "vectors", len(values), values.null_count, filled, 1, vector_size=values.type.list_size
        )
    storage = "number" if pa.types.is_floating(values.type) else "text"
    return _of_texts(name, storage, values)


def _of_texts(name: str, storage: str, values: pa.Array) -> ColumnProfile:
    texts = pc.utf8_trim_whitespace(as_strings(values))
    missing = pa.array(missing_numbers(values))
    filled = pc.fill_null(pc.not_equal(texts, ""), False) if storage == "text" else pc.invert(missing)
    texts = texts.filter(filled)
    counted = pc.value_counts(texts)
    order = pc.array_sort_indices(counted.field("counts"), order="descending")[:20]
    figures = _numbers(pc.utf8_trim_whitespace(as_strings(values)).filter(pc.invert(missing)))
    return ColumnProfile(
        name=name,
        storage=storage,
        rows=len(values),
        empty=len(values) - len(texts),
        distinct=len(counted),
        most_frequent=pc.max(counted.field("counts")).as_py() or 0,
        values=tuple(counted.field("values").take(order).to_pylist()),
        missing_numbers=pc.sum(missing).as_py() or 0,
        **figures,
        **(_words(texts) if storage == "text" else {}),
    )


def _numbers(texts: pa.Array) -> dict[str, Any]:
    """Of cells that are not missing."""
    matches = pc.match_substring_regex(texts, _NUMBER)
    found = np.asarray(pc.cast(texts.filter(matches), pa.float64()).to_numpy(zero_copy_only=False))
    found = found[np.isfinite(found)]
    odd = texts.filter(pc.invert(matches))
    written = pc.match_substring_regex(odd, _WRITTEN)
    return {
        "numbers": _share(matches),
        "integers": _share(pc.match_substring_regex(texts, _INTEGER)),
        "lowest": float(found.min()) if len(found) else 0.0,
        "highest": float(found.max()) if len(found) else 0.0,
        "distinct_numbers": len(np.unique(found)),
        "odd": odd[0].as_py()[:80] if len(odd) else "",
        "written": _share(written) * len(odd) / max(1, len(texts)),
    }


def _words(texts: pa.Array) -> dict[str, Any]:
    """Of cells that are not empty."""
    head = [text for text in texts[:_ITEM_ROWS].to_pylist() if text]
    return {
        "dates": _share(pc.match_substring_regex(texts, _DATE)),
        "images": _share(pc.match_substring_regex(texts, _IMAGE)),
        "words": pc.mean(pc.count_substring_regex(texts, r"[^\s\x1f]+")).as_py() or 0.0,
        "digits": _share(pc.match_substring_regex(texts, "[0-9]")),
        "unspaced": _share(
            pc.match_substring_regex(texts, r"\p{Han}|\p{Hiragana}|\p{Katakana}|\p{Thai}|\p{Lao}|\p{Khmer}|\p{Myanmar}")
        ),
        "vector_size": _vector_size(head),
        "items": _items(head),
    }


def _share(matches: pa.Array) -> float:
    return float(pc.mean(pc.cast(matches, pa.float64())).as_py() or 0.0)


def _vector_size(cells: list[str]) -> int:
    """How many numbers each of the cells holds; 0 where they are no numbers, or not equally many."""
    sizes = set()
    for cell in cells:
        plain = ", ".join(split_items(cell, None)) if LIST_SEPARATOR in cell else cell
        if not _VECTOR.fullmatch(plain.strip()):
            return 0
        numbers = re.split(r"[\s,;]+", plain.strip("[]() \t\r\n"))
        if not (LIST_SEPARATOR in cell or plain.lstrip().startswith(("[", "(")) or _are_measures(cell, numbers)):
            return 0
        sizes.add(len(numbers))
        if len(sizes) > 1:
            return 0
    return sizes.pop() if sizes else 0


def _are_measures(cell: str, numbers: list[str]) -> bool:
    """Whether numbers without brackets are a vector, and no number with marks, date, telephone number or the like."""
    if len(numbers) >= _LONG_VECTOR:
        return True
    fractions = sum("." in number or "e" in number.lower() for number in numbers)
    return not _WRITTEN_ONE.fullmatch(cell.strip()) and (
        fractions == len(numbers) or (fractions > 0 and len(numbers) > 2)
    )


def _items(cells: list[str]) -> Items | None:
    """The cells taken apart at the separator that most of them hold; None where few hold any."""
    if not cells:
        return None
    lists = sum(LIST_SEPARATOR in cell for cell in cells)
    found: list[tuple[int, str | None]] = [(lists, None)]
    found += [(sum(separator in cell for cell in cells), separator) for separator in SEPARATORS]
    cells_with, separator = max(found, key=lambda pair: pair[0])
    if cells_with < 0.3 * len(cells):
        return None
    counts: Counter[str] = Counter()
    for cell in cells:
        counts.update(set(split_items(cell, separator)))
    total = sum(counts.values())
    return Items(separator, len(counts), total / len(cells), total / max(1, len(counts)))
