"""Binary features: float32 0 or 1."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headstart_server.core.reasons import Reason
from headstart_server.data.canonical import as_strings
from headstart_server.data.features import category
from headstart_server.data.features.cells import Where, shown
from headstart_server.data.spellings import Spellings, spelling
from headstart_server.spec.model import PreprocessingSpec

_TRUE = {"1", "1.0", "t", "true", "y", "yes", "on"}
_FALSE = {"0", "0.0", "f", "false", "n", "no", "off"}


@dataclass(frozen=True)
class BinaryStatistics:
    """The textual values that mean true and false; where they are usual words for it, so are other usual words."""

    true_label: str
    false_label: str
    fill: float
    positive_rate: float

    @property
    def truth_values(self) -> bool:
        """Whether the data spells its values `true` and `false`, in any case, and so is answered with booleans."""
        return [spelling(label) for label in (self.false_label, self.true_label)] == [
            ("truth", "false"),
            ("truth", "true"),
        ]


def fit(
    chunks: Iterable[tuple[int, pa.Array]], preprocessing: PreprocessingSpec, where: Where, *, output: bool
) -> BinaryStatistics:
    """Fits on training rows. Raises InvalidInputError for more than two values, or an output with one class only."""
    counts = category.count(chunks)
    if not counts:
        raise where.column_error("has no value in any training row; remove the feature", Reason.ALL_MISSING)
    true_values, false_values = sides(sorted(counts), preprocessing, where)
    if output and not (true_values and false_values):
        raise where.column_error(
            f"holds one class only, {next(iter(counts))[:80]!r}, in the training rows; a classifier needs both",
            Reason.ONE_CLASS_ONLY,
        )
    positive = sum(counts[value] for value in true_values)
    rate = positive / sum(counts.values())
    statistics = BinaryStatistics(
        # Of several words for a side the most frequent is the one that answers use.
        true_label=max(true_values, key=lambda value: counts[value], default="true"),
        false_label=max(false_values, key=lambda value: counts[value], default="false"),
        fill=float(rate > 0.5) if preprocessing.missing_value_strategy == "fill_with_mode" else 0.0,
        positive_rate=rate,
    )
    if preprocessing.missing_value_strategy != "fill_with_const":
        return statistics
    return replace(statistics, fill=_constant(preprocessing.fill_value or "", statistics, where))


def _constant(value: str, statistics: BinaryStatistics, where: Where) -> float:
    fill = _codes([value], statistics)[value]
    if math.isnan(fill):
        labels = f"{statistics.true_label!r} nor {statistics.false_label!r}"
        raise where.column_error(f"has fill_value {value[:80]!r}, which is neither {labels}; give one of the two")
    return fill


def transform(values: pa.Array, statistics: BinaryStatistics, where: Where, start: int = 0) -> npt.NDArray[np.float32]:
    """Cells as float32 [n] of 0 and 1, missing ones filled; refuses other values by row."""
    texts = as_strings(values)
    codes = _codes(pc.unique(texts).to_pylist(), statistics)
    mapped = np.array([codes[text] for text in texts.to_pylist()], np.float32)
    unknown = np.isnan(mapped)
    if unknown.any():
        row = int(np.argmax(unknown))
        expected = f"{statistics.true_label!r} or {statistics.false_label!r}"
        raise where.error(
            start + row, f"{shown(str(texts[row]))} is neither {expected}; correct it", Reason.UNSEEN_LABEL
        )
    return mapped


def _codes(values: list[str | None], statistics: BinaryStatistics) -> dict[str | None, float]:
    codes: dict[str | None, float] = {}
    usual = _folded(statistics.true_label) in _TRUE and _folded(statistics.false_label) in _FALSE
    spellings = Spellings((statistics.true_label, statistics.false_label))
    for value in values:
        if value is None:
            codes[value] = statistics.fill
        elif (label := spellings.find(value)) is not None:
            codes[value] = float(label == statistics.true_label)
        else:
            folded = _folded(value)
            codes[value] = 1.0 if usual and folded in _TRUE else 0.0 if usual and folded in _FALSE else float("nan")
    return codes


def _folded(value: str) -> str:
    return value.strip().lower()


def binary_codes(statistics: BinaryStatistics) -> dict[str, float]:
    """The code of every text that is understood: the labels, and other usual words where both labels are such."""
    usual = _folded(statistics.true_label) in _TRUE and _folded(statistics.false_label) in _FALSE
    words = {**dict.fromkeys(_TRUE, 1.0), **dict.fromkeys(_FALSE, 0.0)} if usual else {}
    return {**words, statistics.true_label: 1.0, statistics.false_label: 0.0}


def sides(values: list[str], preprocessing: PreprocessingSpec, where: Where) -> tuple[list[str], list[str]]:
    """The values that mean true, and those that mean false."""
    label = preprocessing.fallback_true_label
    if label is None and all(_folded(value) in _TRUE | _FALSE for value in values):
        true_values = [value for value in values if _folded(value) in _TRUE]
        return true_values, [value for value in values if value not in true_values]
    if len(values) > 2:
        shown = ", ".join(repr(value[:40]) for value in values[:5])
        raise where.column_error(
            f"holds {len(values)} values ({shown}, ...); a binary column has two: use type category"
        )
    if label is not None and label not in values:
        raise where.column_error(f"never holds fallback_true_label {label!r}; it holds {values}")
    # The later of two labels in order is true, as scikit-learn numbers them.
    true_value = label if label is not None else values[-1]
    return [true_value], [value for value in values if value != true_value]
