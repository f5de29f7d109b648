"""In which arithmetic models are served, and how far their answers are then from those in fp32."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.features.number import NumberStatistics
from headstart_server.encoders.precision import AUTO, fast_precision
from headstart_server.planning.pretrained import SERVED_PRECISION
from headstart_server.serving.decode import THRESHOLD

MOST_DIFFERENCE = 0.05
"""Of a probability, or of a number in standard deviations: more than that, and `auto` stays with fp32."""
Outputs = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class ServedPrecision:
    """In which arithmetic one model is served, and what was measured before."""

    precision: str = SERVED_PRECISION
    compared: str = ""
    """The arithmetic whose answers were compared with those in fp32; empty where none was."""
    rows: int = 0
    """Rows that were compared."""
    changed_answers: int = 0
    """Of them those whose predicted class, truth value or items are others."""
    largest_difference: float = 0.0
    """Of any probability, of a number in standard deviations of the training rows, or of a component of a vector."""


def precision_to_try(setting: str, device_type: str) -> str:
    """Which arithmetic the encoders of a model may be served in, by the server's setting: the fast one where `auto`."""
    return fast_precision(device_type) if setting == AUTO else setting


def compared(
    features: Sequence[FittedFeature], exact: Outputs, found: Outputs, setting: str, precision: str
) -> ServedPrecision:
    """Compares answers of the same rows in fp32 and in `precision`, and says in which of them to serve.

    By the setting `auto` that is fp32 where any answer changes, any difference is above 0.05, or there are no answers.
    """
    changed = np.zeros(0, bool)
    largest = 0.0
    for feature in features if exact and found else ():
        left, right = exact[feature.name], found[feature.name]
        others = _answers(feature, left) != _answers(feature, right)
        others = others.reshape(len(left), -1).any(1)
        changed = changed | others if len(changed) else others
        # not Python's max, which would lose a NaN that comes second
        largest = float(np.maximum(largest, _unit(feature) * np.abs(left - right).max(initial=0.0)))
    count = int(changed.sum())
    close = len(changed) > 0 and not count and largest <= MOST_DIFFERENCE
    served = precision if close or setting != AUTO else SERVED_PRECISION
    return ServedPrecision(served, precision, len(changed), count, largest)


def _unit(feature: FittedFeature) -> float:
    """What differences of an output are multiplied by: numbers are normalised in one way or another."""
    return feature.statistics.deviations if isinstance(feature.statistics, NumberStatistics) else 1.0


def _answers(feature: FittedFeature, output: npt.NDArray[np.float32]) -> npt.NDArray[np.generic]:
    """What is predicted of each row, [n] or [n, items]; nothing of numbers and vectors, which have no classes."""
    match feature.spec.type:
        case "category":
            best: npt.NDArray[np.int64] = output.argmax(1)
            return best
        case "binary" | "set":
            above: npt.NDArray[np.bool_] = output > (feature.spec.decoder.threshold or THRESHOLD)
            return above
    return np.zeros(len(output), bool)
