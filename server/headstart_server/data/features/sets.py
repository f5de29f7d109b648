"""Set features: multi-hot uint8 over a vocabulary of the training rows."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headstart_server.core.reasons import Reason
from headstart_server.data.canonical import as_strings
from headstart_server.data.features.cells import Where, split_items
from headstart_server.data.spellings import Spellings
from headstart_server.spec.model import PreprocessingSpec


@dataclass(frozen=True)
class SetStatistics:
    """`vocabulary[index]` is an item; items outside it are ignored."""

    vocabulary: tuple[str, ...]
    counts: tuple[int, ...]
    separator: str | None

    @cached_property
    def spellings(self) -> Spellings:
        """Finds the item that a text means, however it is spelled."""
        return Spellings(self.vocabulary)

    @cached_property
    def index(self) -> dict[str, int]:
        """Index of each item."""
        return {item: position for position, item in enumerate(self.vocabulary)}


def fit(chunks: Iterable[tuple[int, pa.Array]], preprocessing: PreprocessingSpec, where: Where) -> SetStatistics:
    """Fits on training rows. Raises InvalidInputError if no row holds an item."""
    counts: Counter[str] = Counter()
    for _, chunk in chunks:
        for text in as_strings(chunk).to_pylist():
            counts.update(set(split_items(text, preprocessing.separator)) if text else ())
    if not counts:
        raise where.column_error("holds no item in any training row; remove the feature", Reason.ALL_MISSING)
    frequent = [
        item
        for item, times in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        if times >= (preprocessing.min_frequency or 1)
    ][: preprocessing.most_common or 10_000]
    if not frequent:
        raise where.column_error(f"holds no item {preprocessing.min_frequency} times; lower min_frequency")
    return SetStatistics(tuple(frequent), tuple(counts[item] for item in frequent), preprocessing.separator)


def transform(values: pa.Array, statistics: SetStatistics, where: Where, start: int = 0) -> npt.NDArray[np.uint8]:
    """Cells as uint8 [n, vocabulary]; a missing cell is the empty set."""
    hot = np.zeros((len(values), len(statistics.vocabulary)), np.uint8)
    index = statistics.index
    for row, text in enumerate(as_strings(values).to_pylist()):
        for item in split_items(text, statistics.separator) if text else ():
            position = index.get(item)
            if position is None and (meant := statistics.spellings.find(item)) is not None:
                position = index[meant]
            if position is not None:
                hot[row, position] = 1
    return hot
