"""Features with the statistics of a model that was trained before, for a job that begins from it."""

from dataclasses import replace

import pyarrow as pa

from headstart_server.core.errors import InvalidInputError
from headstart_server.core.reasons import Reason
from headstart_server.data.canonical import as_strings
from headstart_server.data.features import binary, category, vector
from headstart_server.data.features.binary import BinaryStatistics
from headstart_server.data.features.category import CategoryStatistics
from headstart_server.data.features.cells import Where, split_items
from headstart_server.data.features.fitted import Chunks, FittedFeature
from headstart_server.data.features.sets import SetStatistics
from headstart_server.data.features.vector import VectorStatistics
from headstart_server.spec.model import FeatureSpec


def adopt_feature(
    feature: FeatureSpec, initial: FittedFeature, chunks: Chunks, where: Where, model: str
) -> FittedFeature:
    """A feature of a job with the statistics of the model that it begins from.

    A category or an item that the model does not know is unknown in an input, as it is to Predict. Raises
    InvalidInputError for labels of an output that the model does not know, and for vectors of another length.

    Args:
        feature: As the job's spec has it.
        initial: As the model has it.
        chunks: Rows of every part.
        where: Names the column in errors.
        model: Names the model in errors.
    """
    match initial.statistics:
        case CategoryStatistics() as statistics if initial.output:
            unknown = [value for value in category.count(chunks) if statistics.spellings.find(value) is None]
            _refuse_labels(unknown, where, model)
            weights = f"{where.field}.loss.class_weights"
            category.check_class_weights(feature.loss.class_weights, statistics, weights)
        case SetStatistics() as statistics if initial.output:
            items = (item for _, chunk in chunks for item in _items(chunk, statistics))
            _refuse_labels([item for item in items if statistics.spellings.find(item) is None], where, model)
        case BinaryStatistics() as statistics:
            _refuse_labels(
                [value for value in category.count(chunks) if not _knows(value, statistics, where)], where, model
            )
        case VectorStatistics(size=size):
            found = vector.fit(chunks, feature.preprocessing, where).size
            if found != size:
                raise _differs(where, f"holds vectors of {found} numbers, and those of {model} have {size}")
    return replace(initial, spec=feature)


def _items(chunk: pa.Array, statistics: SetStatistics) -> set[str]:
    texts = as_strings(chunk).drop_null().to_pylist()
    return {item for text in texts if text for item in split_items(text, statistics.separator)}


def _knows(value: str, statistics: BinaryStatistics, where: Where) -> bool:
    try:
        binary.transform(pa.array([value]), statistics, where)
    except InvalidInputError:
        return False
    return True


def _refuse_labels(unknown: list[str], where: Where, model: str) -> None:
    if unknown:
        more = f" and {len(set(unknown)) - 1} others" if len(set(unknown)) > 1 else ""
        raise _differs(where, f"holds {min(unknown)[:80]!r}{more}, which {model} does not know")


def _differs(where: Where, what: str) -> InvalidInputError:
    return where.column_error(
        f"{what}; leave those rows out, or train without initial_model", Reason.INITIAL_MODEL_DIFFERS
    )
