"""Category features: int64 indices into a vocabulary of the training rows."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headstart_server.core.errors import invalid
from headstart_server.core.reasons import Reason
from headstart_server.core.suggest import choices
from headstart_server.data.canonical import as_strings
from headstart_server.data.features.cells import Where, shown
from headstart_server.data.spellings import Spellings
from headstart_server.spec.model import PreprocessingSpec

UNKNOWN = "<unknown>"


@dataclass(frozen=True)
class CategoryStatistics:
    """`vocabulary[index]` is a value. Inputs have `<unknown>` at index 0, outputs have labels only."""

    vocabulary: tuple[str, ...]
    counts: tuple[int, ...]
    fill: str | None
    output: bool

    @cached_property
    def spellings(self) -> Spellings:
        """Finds the value that a cell means, however it is spelled."""
        return Spellings(value for value in self.vocabulary if value != UNKNOWN or self.output)

    @cached_property
    def values(self) -> pa.Array:
        """The vocabulary as an Arrow array."""
        return pa.array(self.vocabulary, pa.large_string())


def count(chunks: Iterable[tuple[int, pa.Array]]) -> Counter[str]:
    """How often each value occurs."""
    counts: Counter[str] = Counter()
    for _, chunk in chunks:
        found = pc.value_counts(as_strings(chunk).drop_null())
        counts.update(dict(zip(found.field(0).to_pylist(), found.field(1).to_pylist(), strict=True)))
    return counts


def fit(
    chunks: Iterable[tuple[int, pa.Array]], preprocessing: PreprocessingSpec, where: Where, *, output: bool
) -> CategoryStatistics:
    """Fits on training rows. Raises InvalidInputError if all are missing, or an output has a single label."""
    chunks = list(chunks)
    counts = count(chunks)
    if not counts:
        raise where.column_error("has no value in any training row; remove the feature", Reason.ALL_MISSING)
    fill = _fill(counts, preprocessing)
    empty = sum(values.null_count for _, values in chunks)
    if fill is not None and empty:  # they are what they are filled with
        counts[fill] += empty
    if output:
        labels = _label_order(counts)
        if len(labels) < 2:
            raise where.column_error(
                f"holds one class only, {labels[0][:80]!r}, in the training rows; a classifier needs two or more",
                Reason.ONE_CLASS_ONLY,
            )
        return CategoryStatistics(tuple(labels), tuple(counts[label] for label in labels), fill, True)
    # Ties are broken by value, so that indices do not depend on the order of the rows.
    frequent = [
        value
        for value, times in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if times >= (preprocessing.min_frequency or 1)
    ][: preprocessing.most_common or 10_000]
    if not frequent:
        raise where.column_error(f"holds no value {preprocessing.min_frequency} times; lower min_frequency")
    # A value of the data that is spelled like UNKNOWN shares its index.
    vocabulary = (UNKNOWN, *(value for value in frequent if value != UNKNOWN))
    return CategoryStatistics(vocabulary, tuple(counts.get(value, 0) for value in vocabulary), fill, False)


def transform(values: pa.Array, statistics: CategoryStatistics, where: Where, start: int = 0) -> npt.NDArray[np.int64]:
    """Cells as int64 [n]. Unknown values are index 0 in inputs and an error in outputs."""
    texts = as_strings(values)
    if statistics.fill is not None:
        texts = pc.fill_null(texts, statistics.fill)
    indices = pc.index_in(as_spelled(texts, statistics.spellings), value_set=statistics.values)
    if statistics.output and indices.null_count:
        row = int(np.argmax(indices.is_null().to_numpy(zero_copy_only=False)))
        given = texts[row].as_py()
        known = ", ".join(repr(label[:40]) for label in statistics.vocabulary[:10])
        what = "the label is missing" if given is None else f"label {shown(given)} does not occur in the training rows"
        raise where.error(
            start + row, f"{what}; correct it, or add training rows with it (known: {known})", Reason.UNSEEN_LABEL
        )
    filled: npt.NDArray[np.int64] = pc.fill_null(indices, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return filled


def as_spelled(texts: pa.Array, spellings: Spellings) -> pa.Array:
    """The cells as the training rows spell them, those that mean none of their values as they are."""
    found = pc.unique(texts)
    meant = [text if text is None else spellings.find(text) or text for text in found.to_pylist()]
    respelled = pa.array(meant, pa.large_string())
    return texts if respelled.equals(found) else respelled.take(pc.index_in(texts, value_set=found))


def check_class_weights(weights: Mapping[str, float], statistics: CategoryStatistics, field: str) -> None:
    """Raises InvalidInputError for weights of labels that no training row has; labels without a weight weigh 1."""
    unknown = [label for label in weights if label not in statistics.vocabulary]
    if unknown:
        more = f" (nor are {len(unknown) - 1} others)" if len(unknown) > 1 else ""
        known = choices(unknown[0][:80], [label[:80] for label in statistics.vocabulary], "labels")
        raise invalid(
            field, f"{unknown[0][:80]!r} is no label of the training rows{more}{known}", reason=Reason.UNKNOWN_LABEL
        )


def _fill(counts: Counter[str], preprocessing: PreprocessingSpec) -> str | None:
    match preprocessing.missing_value_strategy:
        case "fill_with_mode":
            return min(counts, key=lambda value: (-counts[value], value))
        case "fill_with_const":
            return preprocessing.fill_value or ""
        case _:
            return None


def _label_order(counts: Counter[str]) -> list[str]:
    """Labels sorted as numbers where all are, else as text."""
    try:
        numbers = {label: float(label) for label in counts}
    except ValueError:
        return sorted(counts)
    if any(math.isnan(number) for number in numbers.values()):
        return sorted(counts)
    return sorted(counts, key=lambda label: (numbers[label], label))
