"""What all feature types share: naming cells in errors, missing cells, parsing numbers."""

import ast
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headstart_server.core.errors import BadCellError, InvalidInputError, Violation, invalid
from headstart_server.core.reasons import Reason
from headstart_server.data.canonical import LIST_SEPARATOR, as_strings

MISSING_WORDS = ("", "na", "n/a", "nan", "null", "none", "?", "-", "missing", "#n/a")
"""What stands for a missing number, in lower case."""
_MISSING_NUMBERS = pa.array(MISSING_WORDS, pa.large_string())
_LONGEST_LITERAL = 1 << 16
"""In characters: Python's own parser takes a hundred times the memory of what it reads, JSON's does not."""
BadCells = dict[int, InvalidInputError]
"""What is wrong with rows that cannot be read, by their number from 0: of each row the first cell that is bad."""


@dataclass(frozen=True)
class Where:
    """Names cells in errors: the field's path, the column, and how to say a row's number."""

    field: str
    column: str
    locate: Callable[[int], str]

    def error(self, row: int, message: str, reason: str = Reason.BAD_CELL) -> BadCellError:
        """An error about one cell; `row` counts from 0."""
        return BadCellError(
            Violation(self.field, f"column {self.column!r}, {self.locate(row)}: {message}"), reason=reason
        )

    def column_error(self, message: str, reason: str = Reason.BAD_COLUMN) -> InvalidInputError:
        """An error about the whole column."""
        return invalid(self.field, f"column {self.column!r} {message}", reason=reason)


def require_text(values: pa.Array, where: Where, start: int = 0) -> None:
    """Refuses by row bytes that are no text."""
    if not (pa.types.is_large_binary(values.type) or pa.types.is_binary(values.type)):
        return
    try:
        as_strings(values)
    except InvalidInputError:
        row = next(row for row, cell in enumerate(values.to_pylist()) if not _is_text(cell))
        message = "holds bytes that are not UTF-8 text; encode them as text first"
        raise where.error(start + row, message) from None


def _is_text(cell: bytes | None) -> bool:
    try:
        return cell is None or cell.decode() is not None
    except UnicodeDecodeError:
        return False


def missing(values: pa.Array) -> npt.NDArray[np.bool_]:
    """Which cells are missing: null, or NaN in a number column."""
    mask: npt.NDArray[np.bool_] = values.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    return mask


def missing_numbers(values: pa.Array) -> npt.NDArray[np.bool_]:
    """Which cells of a number column are missing: null, NaN, or a word for it such as `NA`."""
    if not pa.types.is_large_string(values.type):
        return missing(values)
    folded = pc.utf8_lower(pc.utf8_trim_whitespace(values))
    words: npt.NDArray[np.bool_] = pc.is_in(folded, value_set=_MISSING_NUMBERS).to_numpy(zero_copy_only=False)
    return missing(values) | words


def is_missing_number(word: str) -> bool:
    """Whether a cell with this text is a missing one in a number column."""
    return bool(missing_numbers(pa.array([word], pa.large_string()))[0])


def numbers(values: pa.Array, start: int, where: Where) -> npt.NDArray[np.float64]:
    """A number column as float64 with NaN for missing cells; refuses words and infinities by row."""
    if pa.types.is_floating(values.type):
        parsed = values.to_numpy(zero_copy_only=False).astype(np.float64)
    else:
        texts = pc.utf8_trim_whitespace(as_strings(values))
        texts = pc.if_else(pa.array(missing_numbers(values)), pa.scalar(None, pa.large_string()), texts)
        try:
            parsed = pc.cast(texts, pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
        except pa.ArrowInvalid:
            raise _not_a_number(texts, start, where) from None
    infinite = np.isinf(parsed)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise where.error(start + row, f"{values[row].as_py()!r} is not finite; use a finite number or leave it empty")
    return np.asarray(parsed)


def _not_a_number(texts: pa.Array, start: int, where: Where) -> InvalidInputError:
    # Arrow's error names no row.
    for row, text in enumerate(texts.to_pylist()):
        if text is not None:
            try:
                pc.cast(pa.scalar(text, texts.type), pa.float64())
            except pa.ArrowInvalid:
                return where.error(start + row, f"{text[:80]!r} is not a number; correct it or use type category")
    return where.column_error("holds cells that are not numbers")


def shown(text: str) -> str:
    """A cell for a message, quoted and cut; a list's items with commas between them."""
    if LIST_SEPARATOR in text:
        text = f"[{text.removesuffix(LIST_SEPARATOR).replace(LIST_SEPARATOR, ', ')}]"
    return repr(text[:80])


def written_list(text: str) -> list[str] | None:
    """The items of a list that is written as Python or JSON writes it, as CSV files have them that were made of lists;
    None where a cell is none, or holds other than words and numbers."""
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    found = _literal(text)
    if not isinstance(found, list) or not all(isinstance(item, str | int | float | None) for item in found):
        return None
    return [str(item) for item in found if item is not None and item != ""]


def _literal(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if len(text) > _LONGEST_LITERAL:
            return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def split_items(text: str, separator: str | None) -> list[str]:
    """The items of a set or vector cell."""
    if LIST_SEPARATOR in text:
        return [item for item in text.split(LIST_SEPARATOR) if item]
    if (listed := written_list(text)) is not None:
        return listed
    if separator is not None:
        return [item.strip() for item in text.split(separator) if item.strip()]
    return text.replace(",", " ").split()
