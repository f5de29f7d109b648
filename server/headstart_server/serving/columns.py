"""Pretrained inputs of some rows on their way through the model: cut into pieces, joined with others' rows."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from headstart_server.data.images.scan import ScannedImages
from headstart_server.embedding_store.key import Keys
from headstart_server.encoders.tokens import TokenColumn


class InputColumn(ABC):
    """One pretrained input of some rows."""

    most_rows: ClassVar[int] = 1 << 31
    """How many a caller's piece may have."""
    pending: ClassVar[bool] = False
    """Whether the column must be loaded before an encoder can read it."""

    @property
    def units(self) -> int:
        """What the time of an encoder goes by: tokens of texts, else 0: rows are all alike."""
        return 0

    @abstractmethod
    def select(self, rows: npt.NDArray[np.int64]) -> Self:
        """Some of the rows, by their place here."""

    @classmethod
    @abstractmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Those of several callers, one after the other."""


@dataclass(frozen=True)
class TokenisedTexts(InputColumn):
    """Texts with their keys, tokenised."""

    keys: Keys
    tokens: TokenColumn

    @property
    def units(self) -> int:
        """See InputColumn."""
        return int(self.tokens.lengths.sum())

    def select(self, rows: npt.NDArray[np.int64]) -> "TokenisedTexts":
        """See InputColumn."""
        return TokenisedTexts(self.keys[rows], self.tokens.select(rows))

    @classmethod
    def join(cls, parts: Sequence["TokenisedTexts"]) -> "TokenisedTexts":
        """See InputColumn."""
        tokens = TokenColumn.join([part.tokens for part in parts])
        return cls(np.concatenate([part.keys for part in parts]), tokens)


@dataclass(frozen=True)
class ImageFiles(InputColumn):
    """Images that nobody has decoded yet: some rows of a caller's table."""

    files: ScannedImages
    """Of the whole table."""
    numbers: npt.NDArray[np.int64]
    """Where the rows are in it."""

    most_rows = 64
    """Decoded at a time: crops take a thousand times the memory of text."""
    pending = True

    @property
    def keys(self) -> Keys:
        """Of the rows' files."""
        return self.files.keys[self.numbers]

    def select(self, rows: npt.NDArray[np.int64]) -> "ImageFiles":
        """See InputColumn."""
        return ImageFiles(self.files, self.numbers[rows])

    @classmethod
    def join(cls, parts: Sequence["ImageFiles"]) -> "ImageFiles":
        """See InputColumn; files of several tables have nothing in common until they are decoded."""
        raise TypeError("images are decoded before they are joined with those of others")


@dataclass(frozen=True)
class DecodedImages(InputColumn):
    """Images ready for their encoder: stored embeddings [n, d] where `present`, crops uint8 [m, 3, h, w] else."""

    embeddings: npt.NDArray[np.float32]
    present: npt.NDArray[np.bool_]
    crops: Tensor

    def select(self, rows: npt.NDArray[np.int64]) -> "DecodedImages":
        """See InputColumn."""
        # Where a row's crop lies among those of the rows that the store lacks.
        places = np.cumsum(~self.present) - 1
        wanted = torch.from_numpy(places[rows][~self.present[rows]])
        return DecodedImages(self.embeddings[rows], self.present[rows], self.crops.index_select(0, wanted))

    @classmethod
    def join(cls, parts: Sequence["DecodedImages"]) -> "DecodedImages":
        """See InputColumn."""
        return cls(
            np.concatenate([part.embeddings for part in parts]),
            np.concatenate([part.present for part in parts]),
            torch.cat([part.crops for part in parts]),
        )
