"""The parts of a data set: training, validation and test rows."""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

Parts = npt.NDArray[np.int8]


class Part(IntEnum):
    """Where a row goes."""

    DROPPED = -1
    TRAIN = 0
    VALIDATION = 1
    TEST = 2


def spread(rows: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """At most `count` rows at even distances."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), count)).astype(np.int64)]
