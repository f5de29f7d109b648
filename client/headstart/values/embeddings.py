"""Embeddings as one flat buffer that numpy reads without copying, and rows for those without numpy."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from headstart.errors import HeadstartError
from headstart.v1.embedding_pb2 import EmbedResponse


@dataclass(frozen=True)
class Embeddings:
    """Embeddings in the order of the rows.

    Attributes:
        flat: float32, row-major [rows, dimension]; `numpy.frombuffer(e.flat, "float32").reshape(-1, e.dimension)`.
        dimension: width of each.
        rows_found: rows whose embedding was in the store.
        embedding_space: `embeddingSpaces/{id}`.
        precision: the arithmetic they were computed in: `fp32`, `bf16` or `fp16`.
        error: why there are none: of a batch of `embed_stream` with `errors="return"`.
    """

    flat: array[float]
    dimension: int
    rows_found: int
    embedding_space: str
    precision: str
    error: HeadstartError | None = None

    @classmethod
    def of(cls, response: EmbedResponse) -> Embeddings:
        """Read a response."""
        flat = array("f", response.embeddings)
        return cls(flat, response.dimension, response.rows_found, response.embedding_space, response.precision)

    @classmethod
    def failed(cls, error: HeadstartError) -> Embeddings:
        """Stand in for the embeddings of rows that the server refused."""
        return cls(array("f"), 0, 0, "", "", error)

    @property
    def rows_read(self) -> int:
        """Number of rows that were sent."""
        return len(self)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.flat) // self.dimension if self.dimension else 0

    def __getitem__(self, row: int) -> list[float]:
        """Return one embedding."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        return self.flat[row * self.dimension : (row + 1) * self.dimension].tolist()

    def __iter__(self) -> Iterator[list[float]]:
        """Iterate over the embeddings."""
        return (self[row] for row in range(len(self)))
