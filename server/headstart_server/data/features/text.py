"""Text features: cleaned strings; tokenising belongs to the encoder."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from headstart_server.core.reasons import Reason
from headstart_server.data.canonical import LIST_SEPARATOR, as_strings
from headstart_server.data.features.cells import Where
from headstart_server.spec.model import PreprocessingSpec


@dataclass(frozen=True)
class TextStatistics:
    """`fill` stands in for missing cells; `lowercase` folds case before tokenising."""

    lowercase: bool
    fill: str


def fit(chunks: Iterable[tuple[int, pa.Array]], preprocessing: PreprocessingSpec, where: Where) -> TextStatistics:
    """Raises InvalidInputError if every training row is missing."""
    if all(chunk.null_count == len(chunk) for _, chunk in chunks):
        raise where.column_error("has no value in any training row; remove the feature", Reason.ALL_MISSING)
    return unfitted(preprocessing)


def unfitted(preprocessing: PreprocessingSpec) -> TextStatistics:
    """What holds without any training row, so that an empty text alone is a text, too."""
    return TextStatistics(preprocessing.lowercase or False, preprocessing.fill_value or "")


def transform(values: pa.Array, statistics: TextStatistics) -> pa.Array:
    """Cells as large_string without missing ones."""
    texts = pc.fill_null(as_strings(values), statistics.fill)
    if pc.any(pc.match_substring(texts, LIST_SEPARATOR)).as_py():
        # A list's text ends in a separator; those between items read as spaces.
        texts = pc.replace_substring(pc.utf8_rtrim(texts, LIST_SEPARATOR), LIST_SEPARATOR, " ")
    return pc.utf8_lower(texts) if statistics.lowercase else texts
