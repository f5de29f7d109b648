"""Image features: nothing to fit; decoding belongs to `data.images`, the transform to the encoder."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from headstart_server.core.reasons import Reason
from headstart_server.data.features.cells import Where, missing


@dataclass(frozen=True)
class ImageStatistics:
    """Images need no statistics."""


def fit(chunks: Iterable[tuple[int, pa.Array]], where: Where) -> ImageStatistics:
    """Raises InvalidInputError if every training row is missing."""
    if all(missing(chunk).all() for _, chunk in chunks):
        raise where.column_error("has no image in any training row; remove the feature", Reason.ALL_MISSING)
    return ImageStatistics()
