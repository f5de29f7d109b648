"""A model whose prediction of a row is twice its number, and which waits when told to."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from headstart_server.core.errors import NotFoundError
from headstart_server.data.features.cells import BadCells
from headstart_server.data.tables import Table
from headstart_server.serving.inputs import Reuse
from headstart_server.serving.rows import Answer, Rows

from tests.support.infer_requests import named
from tests.support.tables import fitted

OUTPUT = "column"


def rows_of(*numbers: float) -> Rows:
    """Rows of one number each."""
    return Rows(len(numbers), {"x": np.array(numbers, np.float32)})


def predictions(answer: Answer) -> list[float]:
    """What was predicted for each row."""
    found: list[float] = answer.outputs[OUTPUT].tolist()
    return found


class FakePredictor:
    """Stands in for `Predictor`. `batches` are the rows of each call; `hold` makes calls wait for `release`."""

    def __init__(self, reads: frozenset[object] = frozenset()) -> None:
        self.reads = reads
        self.inputs = (named("x", [1.0, 2.0], "number"),)
        self.outputs = (fitted([1.0, 2.0], "number", output=True, normalization="none"),)
        self.batches: list[list[float]] = []
        self.reuse: list[Reuse] = []
        self.parsed = 0
        self.fails: Exception | None = None
        self.started = threading.Semaphore(0)
        self._go = threading.Event()
        self._go.set()

    def hold(self) -> None:
        """Make calls wait."""
        self._go.clear()

    def release(self) -> None:
        """Let them go."""
        self._go.set()

    def refused(self, table: Table) -> BadCells:
        """Nothing."""
        return {}

    def rows(self, table: Table) -> Rows:
        """The numbers of column `x`."""
        self.parsed += 1
        return rows_of(*table.rows.column("x").to_pylist())

    def wanted(self, rows: Rows, reuse: Reuse) -> list[object]:
        """Nothing: no encoder reads numbers."""
        self.reuse.append(reuse)
        return []

    def answer(self, rows: Rows, embeddings: Sequence[object]) -> Answer:
        """Double them."""
        self.started.release()
        assert self._go.wait(60)
        numbers: npt.NDArray[np.float32] = rows.arrays["x"].astype(np.float32)
        self.batches.append(numbers.tolist())
        if self.fails is not None:
            raise self.fails
        return Answer({OUTPUT: numbers * 2}, np.ones(rows.count, bool))


class EmptyModelPool:
    """Has no model in memory."""

    def served(self, tenant: str, identifier: str) -> None:
        """Nothing is known of a model's arithmetic."""

    def forget(self, tenant: str, identifier: str) -> None:
        """There is nothing to forget."""


class FakeModelPool(EmptyModelPool):
    """Knows `models/m1`."""

    def __init__(self, predictor: FakePredictor) -> None:
        self._predictor = predictor

    def loaded(self, tenant: str, identifier: str) -> FakePredictor | None:
        """The model, without waiting."""
        return self._predictor if identifier == "m1" else None

    def get(self, tenant: str, identifier: str) -> FakePredictor:
        """The model."""
        raise NotFoundError(f"models/{identifier} does not exist", field="model")
