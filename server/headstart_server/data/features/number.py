"""Number features: float32, normalised by statistics of the training rows."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headstart_server.core.reasons import Reason
from headstart_server.data.features.cells import Where, numbers
from headstart_server.spec.model import PreprocessingSpec


@dataclass(frozen=True)
class NumberStatistics:
    """normalised = (f(value) - shift) / scale, f being log1p for `log1p`; missing cells become `fill` first."""

    normalization: str
    shift: float
    scale: float
    fill: float
    minimum: float
    maximum: float
    deviation: float = 0.0
    """Standard deviation of the training rows; 0 where it is not known."""

    @property
    def deviations(self) -> float:
        """How many standard deviations one of the normalised numbers is."""
        # of what is spread evenly from the least to the largest, where nobody has measured
        spread = self.deviation or (self.maximum - self.minimum) / math.sqrt(12)
        return 1.0 if self.normalization in ("zscore", "log1p") or not spread else self.scale / spread


def fit(chunks: Iterable[tuple[int, pa.Array]], preprocessing: PreprocessingSpec, where: Where) -> NumberStatistics:
    """Fits on training rows; `chunks` yields (first row, values). Raises InvalidInputError if all are missing."""
    values = np.concatenate([numbers(chunk, start, where) for start, chunk in chunks] or [np.empty(0)])
    present = values[~np.isnan(values)]
    if present.size == 0:
        raise where.column_error("has no value in any training row; remove the feature", Reason.ALL_MISSING)
    normalization = preprocessing.normalization or "zscore"
    minimum = float(present.min())
    if normalization == "log1p" and minimum <= -1:
        raise where.column_error(f"holds {minimum:g}, but normalization log1p needs values above -1; use zscore")
    with np.errstate(over="ignore", invalid="ignore"):
        shift, scale = _shift_and_scale(np.log1p(present) if normalization == "log1p" else present, normalization)
        fill = _fill(present, preprocessing, where)
    if not all(map(math.isfinite, (shift, scale, fill))):
        raise where.column_error("holds numbers so large that their mean or spread is not finite; scale them down")
    with np.errstate(over="ignore"):
        deviation = float(present.std())
    known = deviation if math.isfinite(deviation) and normalization != "log1p" else 0.0
    return NumberStatistics(normalization, shift, scale, fill, minimum, float(present.max()), known)


def transform(
    values: pa.Array, statistics: NumberStatistics, where: Where, start: int = 0, *, output: bool = False
) -> npt.NDArray[np.float32]:
    """Cells as normalised float32 [n], missing ones filled, bounded by float32's range.

    Refuses by row what an output is that has no logarithm: errors would be measured of another number.
    """
    raw = numbers(values, start, where)
    raw = np.where(np.isnan(raw), statistics.fill, raw)
    if statistics.normalization == "log1p":
        if output and (raw <= -1).any():
            row = int(np.argmax(raw <= -1))
            message = f"{raw[row]:g} has no log1p, which ends above -1; correct it, or use normalization zscore"
            raise where.error(start + row, message)
        # Training rows at or below -1 are refused; later ones count as just above it, where the logarithm ends.
        raw = np.log1p(np.maximum(raw, -1 + 1e-6))
    limit = np.finfo(np.float32).max
    with np.errstate(over="ignore"):
        normalised = (raw - statistics.shift) / statistics.scale
    return np.clip(normalised, -limit, limit).astype(np.float32)


def restore(normalised: npt.NDArray[np.float32], statistics: NumberStatistics) -> npt.NDArray[np.float64]:
    """Normalised predictions back in the data's units."""
    values = normalised.astype(np.float64) * statistics.scale + statistics.shift
    return np.expm1(values) if statistics.normalization == "log1p" else values


def _shift_and_scale(values: npt.NDArray[np.float64], normalization: str) -> tuple[float, float]:
    match normalization:
        case "zscore" | "log1p":
            shift, scale = float(values.mean()), float(values.std())
        case "minmax":
            shift, scale = float(values.min()), float(values.max() - values.min())
        case "iq":
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
            shift, scale = float(middle), float(high - low)
        case _:
            return 0.0, 1.0
    rounding = 10 * np.finfo(np.float64).eps * float(np.abs(values).max())  # what a constant's deviation may show
    return shift, 1.0 if scale <= rounding else scale


def _fill(present: npt.NDArray[np.float64], preprocessing: PreprocessingSpec, where: Where) -> float:
    if preprocessing.missing_value_strategy == "fill_with_mode":
        found, counts = np.unique(present, return_counts=True)
        # `unique` sorts: of equally frequent values the smallest is taken.
        return float(found[np.argmax(counts)])
    if preprocessing.missing_value_strategy == "fill_with_const":
        try:
            fill = float(preprocessing.fill_value or "0")
        except ValueError:
            fill = math.nan
        if not math.isfinite(fill):
            raise where.column_error(f"has fill_value {preprocessing.fill_value!r}, which is no finite number")
        return fill
    return float(present.mean())
