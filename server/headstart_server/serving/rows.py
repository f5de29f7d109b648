"""Rows on their way through the model: cut into pieces, joined with those of other callers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from headstart_server.data.images.scan import ScannedImages
from headstart_server.embedding_store.key import Keys
from headstart_server.encoders.tokens import TokenColumn

IMAGES_AT_ONCE = 64
"""Images of one caller that are decoded at a time: crops take a thousand times the memory of text."""


@dataclass(frozen=True)
class ReadyImages:
    """Images ready for their encoder: stored embeddings [n, d] where `present`, crops uint8 [m, 3, h, w] else."""

    embeddings: npt.NDArray[np.float32]
    present: npt.NDArray[np.bool_]
    crops: Tensor

    @classmethod
    def join(cls, parts: Sequence["ReadyImages"]) -> "ReadyImages":
        """Those of several callers, one after the other."""
        return cls(
            np.concatenate([part.embeddings for part in parts]),
            np.concatenate([part.present for part in parts]),
            torch.cat([part.crops for part in parts]),
        )


@dataclass(frozen=True)
class Rows:
    """Rows of one caller or several: arrays of tabular inputs, tokens and keys of texts, images as they come."""

    count: int
    arrays: dict[str, npt.NDArray[np.generic]]
    tokens: dict[str, TokenColumn]
    keys: dict[str, Keys]
    files: dict[str, ScannedImages] = field(default_factory=dict)
    """Image inputs of the whole table that the rows are part of."""
    numbers: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Where the rows are in that table, if there are images."""
    images: dict[str, ReadyImages] = field(default_factory=dict)
    """Image inputs, once they are loaded."""
    warnings: tuple[str, ...] = ()
    """What is probably wrong with the rows of this caller, for people."""

    @classmethod
    def join(cls, parts: Sequence["Rows"]) -> "Rows":
        """Rows of several callers, one after the other."""
        if len(parts) == 1:
            return parts[0]
        first = parts[0]
        return cls(
            sum(part.count for part in parts),
            {name: np.concatenate([part.arrays[name] for part in parts]) for name in first.arrays},
            {name: TokenColumn.join([part.tokens[name] for part in parts]) for name in first.tokens},
            {name: np.concatenate([part.keys[name] for part in parts]) for name in first.keys},
            images={name: ReadyImages.join([part.images[name] for part in parts]) for name in first.images},
        )

    def pieces(self, most: int) -> Iterator["Rows"]:
        """The rows in pieces of at most `most`, fewer where there are images."""
        most = min(most, IMAGES_AT_ONCE) if self.files else most
        if self.count <= most:
            yield self
            return
        for start in range(0, self.count, most):
            yield self.select(np.arange(start, min(start + most, self.count)))

    def select(self, rows: npt.NDArray[np.int64]) -> "Rows":
        """Some of the rows, by their place here; their images are yet to be loaded."""
        return Rows(
            len(rows),
            {name: values[rows] for name, values in self.arrays.items()},
            {name: column.select(rows) for name, column in self.tokens.items()},
            {name: keys[rows] for name, keys in self.keys.items()},
            self.files,
            self.numbers[rows] if self.files else self.numbers,
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
