"""How columns go together: those that tell the target or repeat another, and rows that repeat others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headstart_server.core.reasons import ColumnReason
from headstart_server.data.canonical import as_strings
from headstart_server.data.features.cells import missing_numbers
from headstart_server.suggestion.columns import Finding

_TELLS = 0.95
"""Part of the target's errors that a column takes away which tells it."""
_TELLS_NUMBER = 0.995
"""The same of a number's variance: strong features of regressions are not to be taken for the target."""
_SAME_ORDER = 0.9995
"""Correlation of ranks from which on two numbers are one, however few rows there are."""
_SEEN = 0.8
"""Part of the rows whose value must occur in others: of what occurs once nothing is known."""
_REPEATS = 0.95
_COMPARED_ROWS = 2_000
_BINS, _LEAST_BINS, _ROWS_A_BIN = 64, 16, 20
_LEAST_ROWS = 20
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Leak:
    """A column that tells a target."""

    target: str
    evidence: str


@dataclass(frozen=True)
class DuplicateRows:
    """Rows whose inputs are those of an earlier row, letters and marks aside."""

    rows: int
    conflicting: int
    """Those whose target is another."""


def leak_of(column: Finding, values: pa.ChunkedArray, target: Finding, truth: pa.ChunkedArray) -> Leak | None:
    """Whether a column tells the target: judged on each half of the rows by what the other half says.

    A target that tells the column is as much of a leak: the column was made of it.
    """
    if column.type not in ("category", "number", "binary") or target.type not in ("category", "number", "binary"):
        return None
    given, wanted = _codes(column, values), _codes(target, truth)
    known = (given >= 0) & (wanted >= 0)
    given, wanted = given[known], wanted[known]
    if len(given) < _LEAST_ROWS:
        return None
    if target.type == "number":
        numbers = _numbers(truth)[known]
        if column.type == "number" and abs(alike := _rank_correlation(_numbers(values)[known], numbers)) >= _SAME_ORDER:
            return Leak(target.name, f"goes up and down with {target.name!r}: their ranks correlate by {alike:.4f}")
        # of their ranks as well: of skewed numbers a few large ones have nearly all of the variance
        told = max(_variance_told(given, each) for each in (numbers, _ranks(numbers)))
        if told >= _TELLS_NUMBER:
            return Leak(target.name, f"tells {told:.1%} of the variance of {target.name!r} on rows not looked at")
        return None
    for first, second, words in (
        (given, wanted, "tells {target!r} in {share:.1%} of the rows not looked at"),
        (wanted, given, "follows from {target!r} in {share:.1%} of the rows not looked at: it was made of it"),
    ):
        seen, share, base = _shares_told(first, second)
        if seen >= _SEEN and 1 - share <= (1 - _TELLS) * (1 - base) and base < 1:
            return Leak(target.name, words.format(target=target.name, share=share))
    return None


def repeated(columns: Mapping[str, pa.ChunkedArray], texts: Sequence[str]) -> dict[str, str]:
    """Columns that hold what another one does, with the evidence: the same in every row as an earlier one, or, of
    those named in `texts`, nearly always a part of another's cell."""
    found: dict[str, str] = {}
    seen: dict[bytes, str] = {}
    for name, column in columns.items():
        first = seen.setdefault(sha256("\x1e".join(_texts(column).to_pylist()).encode()).digest(), name)
        if first != name:
            found[name] = f"the same as {first!r} in every row"
    heads = {name: _texts(columns[name][:_COMPARED_ROWS]).to_pylist() for name in texts if name not in found}
    for name, cells in heads.items():
        filled = sum(map(bool, cells))
        for other, wholes in heads.items():
            if other == name or other in found or filled < _LEAST_ROWS:
                continue
            within = sum(bool(cell) and cell in whole for cell, whole in zip(cells, wholes, strict=True))
            if within >= _REPEATS * filled:
                found[name] = f"contained in {other!r} in {within / filled:.0%} of the cells"
                break
    return found


def duplicate_rows(inputs: Sequence[pa.ChunkedArray], targets: Sequence[pa.ChunkedArray]) -> DuplicateRows:
    """Rows whose inputs, letters' case and marks between words aside, are those of an earlier row."""
    if not inputs:
        return DuplicateRows(0, 0)
    first: dict[str, str] = {}
    conflicting = 0
    wanted = ["\x1e".join(cells) for cells in zip(*(_texts(column).to_pylist() for column in targets), strict=True)]
    normal = (_letters(column) for column in inputs)
    for cells, target in zip(zip(*normal, strict=True), wanted, strict=True):
        conflicting += first.setdefault("\x1e".join(cells), target) != target
    return DuplicateRows(len(wanted) - len(first), conflicting)


def repeats_column(column: Finding, evidence: str) -> Finding:
    """A column that is left out, as another holds the same."""
    return Finding(column.profile, ColumnReason.REPEATS_COLUMN, evidence)


def tells_target(column: Finding, leak: Leak) -> Finding:
    """A column that is left out, as it tells a target."""
    return Finding(column.profile, ColumnReason.TARGET_LEAKAGE, leak.evidence)


def _shares_told(given: Codes, wanted: Codes) -> tuple[float, float, float]:
    """Shares: of the rows whose `given` occurs among others; of those, with the most frequent value of their `given`,
    and with the most frequent of all.

    Each half of the rows is judged by the other, for a value that occurs once tells itself.
    """
    half, seen, told, base = _half(len(given)), 0, 0, 0
    for learned in (half, ~half):
        pairs, times = np.unique(np.stack([given[learned], wanted[learned]], axis=1), axis=0, return_counts=True)
        most = pairs[np.argsort(times, kind="stable")]
        guess = np.full(int(given.max()) + 1, -1, np.int64)
        guess[most[:, 0]] = most[:, 1]  # the last one written is the most frequent
        guesses, truths = guess[given[~learned]], wanted[~learned]
        known = guesses >= 0
        seen += int(known.sum())
        told += int((guesses == truths)[known].sum())
        base += int((truths[known] == np.bincount(wanted[learned]).argmax()).sum())
    return seen / len(given), told / max(1, seen), base / max(1, seen)


def _half(rows: int) -> npt.NDArray[np.bool_]:
    """Half of the rows at random, for tables may be sorted or go round: the same ones each time."""
    chosen: npt.NDArray[np.bool_] = np.random.default_rng(0).permutation(rows) % 2 == 0
    return chosen


def _variance_told(given: Codes, numbers: npt.NDArray[np.float64]) -> float:
    """Of the variance of numbers, the part that the mean of the other half's rows with the same `given` takes away."""
    half = _half(len(given))
    errors = 0.0
    for learned in (half, ~half):
        size = int(given.max()) + 1
        counts = np.bincount(given[learned], minlength=size)
        sums = np.bincount(given[learned], numbers[learned], minlength=size)
        means = np.where(counts > 0, sums / np.maximum(counts, 1), numbers[learned].mean())
        errors += float(((numbers[~learned] - means[given[~learned]]) ** 2).sum())
    spread = float(((numbers - numbers.mean()) ** 2).sum())
    return 1 - errors / spread if spread else 0.0


def _rank_correlation(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Spearman's; 0 where either has one value alone."""
    ranks = _ranks(first), _ranks(second)
    if min(each.max() for each in ranks) == 0:
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The place of each among all, equal ones at the same."""
    return np.unique(numbers, return_inverse=True)[1].astype(np.float64)


def _codes(column: Finding, values: pa.ChunkedArray) -> Codes:
    """A number for each value, of numbers that take many for each of up to 64 quantiles; -1 for empty cells."""
    if column.type == "number":
        numbers = _numbers(values)
        known = np.isfinite(numbers)
        # so many that each has rows in both halves
        bins = min(_BINS, max(_LEAST_BINS, int(known.sum()) // _ROWS_A_BIN))
        if column.profile.distinct_numbers > bins:
            edges = np.unique(np.quantile(numbers[known], np.linspace(0, 1, bins + 1)[1:-1]))
            return np.where(known, np.searchsorted(edges, numbers), -1)
        return np.where(known, np.unique(np.where(known, numbers, 0.0), return_inverse=True)[1], -1)
    texts = _texts(values)
    filled = pc.greater(pc.utf8_length(texts), 0).to_numpy(zero_copy_only=False)
    codes = pc.dictionary_encode(texts).indices.to_numpy(zero_copy_only=False)
    return np.where(filled, codes, -1).astype(np.int64)


def _numbers(values: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """NaN for missing ones."""
    flat = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    missing = pa.array(missing_numbers(flat))
    texts = pc.if_else(missing, pa.scalar(None, pa.large_string()), pc.utf8_trim_whitespace(as_strings(flat)))
    found: npt.NDArray[np.float64] = pc.cast(texts, pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
    return np.where(np.isfinite(found), found, np.nan)


def _letters(values: pa.ChunkedArray) -> list[str]:
    """Cells in lower case, with one space in the place of everything that is no letter or digit."""
    plain = pc.replace_substring_regex(pc.utf8_lower(_texts(values)), r"[^\pL\pN]+", " ")
    found: list[str] = pc.utf8_trim_whitespace(plain).to_pylist()
    return found


def _texts(values: pa.ChunkedArray) -> pa.Array:
    """Cells as texts without the white space around them; empty ones for those that are missing."""
    flat = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return pc.fill_null(pc.utf8_trim_whitespace(as_strings(flat)), "")
