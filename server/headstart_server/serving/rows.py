"""Rows on their way through the model: cut into pieces, joined with those of other callers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from headstart_server.serving.columns import InputColumn


@dataclass(frozen=True)
class Rows:
    """Rows of one caller or several: arrays of tabular inputs, and what encoders read."""

    count: int
    arrays: dict[str, npt.NDArray[np.generic]]
    columns: dict[str, InputColumn] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    """What is probably wrong with the rows of this caller, for people."""

    @property
    def pending(self) -> bool:
        """Whether a column must be loaded before the model can run."""
        return any(column.pending for column in self.columns.values())

    @classmethod
    def join(cls, parts: Sequence["Rows"]) -> "Rows":
        """Rows of several callers, one after the other."""
        if len(parts) == 1:
            return parts[0]
        first = parts[0]
        return cls(
            sum(part.count for part in parts),
            {name: np.concatenate([part.arrays[name] for part in parts]) for name in first.arrays},
            {name: column.join([part.columns[name] for part in parts]) for name, column in first.columns.items()},
        )

    def pieces(self, most: Callable[[], int]) -> Iterator["Rows"]:
        """The rows in pieces of at most `most`, asked before each, and fewer where a column takes much memory."""
        start = 0
        while start < self.count:
            end = start + min([most(), *(column.most_rows for column in self.columns.values())])
            if start == 0 and end >= self.count:
                yield self
                return
            yield self.select(np.arange(start, min(end, self.count)))
            start = end
        if self.count == 0:
            yield self

    def select(self, rows: npt.NDArray[np.int64]) -> "Rows":
        """Some of the rows, by their place here."""
        return Rows(
            len(rows),
            {name: values[rows] for name, values in self.arrays.items()},
            {name: column.select(rows) for name, column in self.columns.items()},
        )


@dataclass(frozen=True)
class Answer:
    """Predictions of some rows: per output, probabilities [n, classes] or [n], or values [n] or [n, d]."""

    outputs: dict[str, npt.NDArray[np.float32]]
    rows_found: npt.NDArray[np.bool_]
    """Rows none of whose texts and images needed the encoder."""

    @classmethod
    def join(cls, parts: Sequence["Answer"]) -> "Answer":
        """The answers to several pieces, one after the other."""
        if len(parts) == 1:
            return parts[0]
        names = parts[0].outputs
        outputs = {name: np.concatenate([part.outputs[name] for part in parts]) for name in names}
        return cls(outputs, np.concatenate([part.rows_found for part in parts]))

    def slice(self, start: int, end: int) -> "Answer":
        """The answer to rows `start` to `end`."""
        return Answer({name: values[start:end] for name, values in self.outputs.items()}, self.rows_found[start:end])
