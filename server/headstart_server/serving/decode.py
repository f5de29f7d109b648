"""Model outputs to answers in the data's own terms: labels, truth values, numbers, sets, vectors."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headstart_server.data.features import number
from headstart_server.data.features.binary import BinaryStatistics
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.features.number import NumberStatistics

THRESHOLD = 0.5
"""Probability above which a truth value or a set's item is predicted, unless the spec says otherwise."""


@dataclass(frozen=True)
class Decoded:
    """One output of some rows."""

    feature: FittedFeature
    values: list[Any]
    """Per row: a label, a truth value (where the data spells true and false), a number, a list of items or numbers."""
    classes: list[str]
    probabilities: npt.NDArray[np.float32] | None
    """[n, classes] for category, binary (false, true) and set outputs."""


def decode(feature: FittedFeature, output: npt.NDArray[np.float32]) -> Decoded:
    """What a model's output says."""
    classes, threshold = feature.classes, feature.spec.decoder.threshold or THRESHOLD
    match feature.spec.type:
        case "category":
            return Decoded(feature, [classes[index] for index in output.argmax(1).tolist()], classes, output)
        case "binary":
            probabilities = np.stack([1 - output, output], 1)
            truths = (output > threshold).tolist()
            assert isinstance(feature.statistics, BinaryStatistics)
            values = truths if feature.statistics.truth_values else [classes[truth] for truth in truths]
            return Decoded(feature, values, classes, probabilities)
        case "set":
            chosen = [[classes[index] for index in np.flatnonzero(row > threshold)] for row in output]
            return Decoded(feature, chosen, classes, output)
        case "number":
            assert isinstance(feature.statistics, NumberStatistics)
            return Decoded(feature, number.restore(output, feature.statistics).tolist(), [], None)
        case _:
            return Decoded(feature, output.tolist(), [], None)
