"""A feature with its statistics: the one place that knows every feature type."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headstart_server.core.errors import invalid
from headstart_server.data.features import binary, category, image, number, sets, text, vector
from headstart_server.data.features.binary import BinaryStatistics
from headstart_server.data.features.category import CategoryStatistics
from headstart_server.data.features.cells import Where, missing, missing_numbers, require_text
from headstart_server.data.features.image import ImageStatistics
from headstart_server.data.features.number import NumberStatistics
from headstart_server.data.features.sets import SetStatistics
from headstart_server.data.features.text import TextStatistics
from headstart_server.data.features.vector import VectorStatistics
from headstart_server.spec.model import FeatureSpec

Statistics = (
    NumberStatistics
    | CategoryStatistics
    | BinaryStatistics
    | SetStatistics
    | VectorStatistics
    | TextStatistics
    | ImageStatistics
)
Chunks = Iterable[tuple[int, pa.Array]]

_CLASSES: dict[str, type[Any]] = {
    "number": NumberStatistics,
    "category": CategoryStatistics,
    "binary": BinaryStatistics,
    "set": SetStatistics,
    "vector": VectorStatistics,
    "text": TextStatistics,
    "image": ImageStatistics,
}
PRETRAINED = ("text", "image")
"""Types without an array of their own: their encoders read texts and images."""


@dataclass(frozen=True)
class FittedFeature:
    """One feature of a spec with the statistics of its training rows."""

    spec: FeatureSpec
    statistics: Statistics
    output: bool

    @property
    def name(self) -> str:
        """The feature's name."""
        return self.spec.name

    def transform(self, values: pa.Array, where: Where, start: int = 0) -> npt.NDArray[Any]:
        """Cells of a tabular feature as an array whose first dimension is rows (dtype by type)."""
        require_text(values, where, start)
        match self.statistics:
            case NumberStatistics() as statistics:
                return number.transform(values, statistics, where, start, output=self.output)
            case CategoryStatistics() as statistics:
                return category.transform(values, statistics, where, start)
            case BinaryStatistics() as statistics:
                return binary.transform(values, statistics, where, start)
            case SetStatistics() as statistics:
                return sets.transform(values, statistics, where, start)
            case VectorStatistics() as statistics:
                return vector.transform(values, statistics, where, start)
            case TextStatistics() | ImageStatistics():
                raise TypeError(f"{self.spec.type} has no array")

    def texts(self, values: pa.Array) -> pa.Array:
        """Cells of a text feature as large_string, none missing."""
        if not isinstance(self.statistics, TextStatistics):
            raise TypeError(f"{self.spec.type} is no text")
        return text.transform(values, self.statistics)

    @property
    def classes(self) -> list[str]:
        """Class labels of an output; for binary: false, true."""
        match self.statistics:
            case CategoryStatistics(vocabulary=vocabulary) | SetStatistics(vocabulary=vocabulary):
                return list(vocabulary)
            case BinaryStatistics() as statistics:
                return [statistics.false_label, statistics.true_label]
            case _:
                return []

    @property
    def width(self) -> int:
        """Numbers in a vector; 0 for other types."""
        return self.statistics.size if isinstance(self.statistics, VectorStatistics) else 0

    @property
    def optional(self) -> bool:
        """Whether a table may lack the column of an input, as if all its cells were missing: where the spec says that
        they are filled, and with what."""
        preprocessing = self.spec.preprocessing
        if self.output:
            return False
        if self.spec.type == "image" and preprocessing.bad_image_policy == "default":
            return True
        return preprocessing.missing_value_strategy not in (None, "drop_row", "fail")

    def to_json(self) -> dict[str, Any]:
        """Plain values, for bundles and artifacts."""
        spec = {key: value for key, value in self.spec.model_dump(exclude_none=True).items() if value not in ({}, [])}
        return {"spec": spec, "statistics": asdict(self.statistics), "output": self.output}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "FittedFeature":
        """The inverse of `to_json`."""
        spec = FeatureSpec.model_validate(value["spec"])
        plain = {key: tuple(item) if isinstance(item, list) else item for key, item in value["statistics"].items()}
        return cls(spec, _CLASSES[spec.type](**plain), value["output"])


def fit_feature(feature: FeatureSpec, chunks: Chunks, where: Where, *, output: bool) -> FittedFeature:
    """Fits one feature on its training rows."""
    if feature.type != "image":
        chunks = _of_text(chunks, where)
    fits: dict[str, Callable[[], Statistics]] = {
        "number": lambda: number.fit(chunks, feature.preprocessing, where),
        "category": lambda: category.fit(chunks, feature.preprocessing, where, output=output),
        "binary": lambda: binary.fit(chunks, feature.preprocessing, where, output=output),
        "set": lambda: sets.fit(chunks, feature.preprocessing, where),
        "vector": lambda: vector.fit(chunks, feature.preprocessing, where),
        "text": lambda: text.fit(chunks, feature.preprocessing, where),
        "image": lambda: image.fit(chunks, where),
    }
    if feature.type not in fits:
        raise invalid(where.field, f"type {feature.type!r} is not available")
    statistics = fits[feature.type]()
    if isinstance(statistics, CategoryStatistics):
        category.check_class_weights(feature.loss.class_weights, statistics, f"{where.field}.loss.class_weights")
    return FittedFeature(feature, statistics, output)


def _of_text(chunks: Chunks, where: Where) -> Iterator[tuple[int, pa.Array]]:
    for start, values in chunks:
        require_text(values, where, start)
        yield start, values


def unfitted(feature: FeatureSpec) -> FittedFeature:
    """An input that a pretrained encoder reads, without training rows: all that is fitted of one is its filler."""
    statistics = text.unfitted(feature.preprocessing) if feature.type == "text" else ImageStatistics()
    return FittedFeature(feature, statistics, output=False)


def drops_missing(feature: FeatureSpec, *, output: bool) -> bool:
    """Whether rows whose cell is missing are left out: on request, and by default for outputs."""
    strategy = feature.preprocessing.missing_value_strategy
    return strategy == "drop_row" or (strategy is None and output)


def missing_cells(feature: FeatureSpec, values: pa.Array) -> npt.NDArray[np.bool_]:
    """Which cells are missing, by the feature's type."""
    return missing_numbers(values) if feature.type == "number" else missing(values)


def masked(chunks: Chunks, keep: npt.NDArray[np.bool_]) -> Iterator[tuple[int, pa.Array]]:
    """A column with all but the kept rows missing, so that row numbers in errors stay right."""
    for start, chunk in chunks:
        mask = keep[start : start + len(chunk)]
        if mask.any():
            yield start, chunk if mask.all() else pc.if_else(pa.array(mask), chunk, pa.scalar(None, chunk.type))
