"""Predictions and evaluations of whole data sets, some rows at a time, in turn with what all others ask for."""

import threading
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pyarrow as pa

from headstart_server.core.errors import InvalidInputError, OutOfRangeError, OverloadedError, invalid
from headstart_server.core.executors import Executors
from headstart_server.core.layout import Layout
from headstart_server.core.names import new_id
from headstart_server.core.principal import Principal, Scope
from headstart_server.core.reasons import Reason
from headstart_server.data.features.cells import BadCells
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.tables import Table
from headstart_server.service.admission import DataSource
from headstart_server.service.prediction import Prediction, PredictionService, PredictOrder
from headstart_server.service.tenants import Tenants
from headstart_server.serving.answered import Answered, most_rows
from headstart_server.serving.inputs import Reuse
from headstart_server.serving.pool import ModelPool
from headstart_server.serving.predictor import Predictor
from headstart_server.serving.table_rows import TableReader, TableRows
from headstart_server.training.output_evaluation import OutputEvaluation

_ROWS, _VALUES = 512, 262_144
"""Of one turn at most: rows, and probabilities that are answered."""
_MOST_CALLS, _MOST_OF_A_TENANT = 16, 4
"""That go on at the same time, each with a table open."""
_MOST_ERRORS = 100


@dataclass(frozen=True)
class DatasetOrder:
    """A data set for a model."""

    model: str
    """Its id."""
    read: Callable[[], DataSource]
    """Raises InvalidInputError for what is no source."""
    reuse: Reuse = Reuse.EXACT
    first_row: int = 0


@dataclass(frozen=True)
class PredictedRows:
    """The next rows of a data set, and the answer to those that could be read."""

    first_row: int
    rows: int
    row_count: int
    prediction: Prediction
    """Rows that were left out are counted from `first_row`."""


@dataclass(frozen=True)
class Evaluated:
    """How a model answers a data set."""

    row_count: int
    metrics: Mapping[str, float]
    outputs: list[OutputEvaluation]
    rows_left_out: int
    errors: Mapping[int, InvalidInputError] = field(default_factory=dict)
    """Of the first rows that were left out, by their number in the data set."""


class DatasetPredictionService:
    """Use cases of data sets and published models. Runs on the server's event loop."""

    def __init__(
        self,
        predictions: PredictionService,
        pool: ModelPool,
        tenants: Tenants,
        layout: Layout,
        executors: Executors,
        limits: ImageLimits,
        max_rows: int,
    ) -> None:
        self._predictions, self._pool, self._tenants = predictions, pool, tenants
        self._layout, self._executors, self._limits = layout, executors, limits
        self._max_rows = min(_ROWS, max_rows)
        self._open: Counter[str] = Counter()
        """Calls by tenant."""

    async def predict(self, caller: Principal, order: DatasetOrder) -> AsyncGenerator[PredictedRows, None]:
        """Predictions in the order of the rows. Raises NotFoundError, InvalidInputError, or OutOfRangeError."""
        _require(caller)
        async with self._opened(caller, order) as (table, predictor):
            if not 0 <= order.first_row < table.row_count:
                message = f"{order.first_row} is no row of a data set of {table.row_count} rows; they count from 0"
                raise OutOfRangeError(message, field="first_row")
            async with aclosing(self._predicted(caller, order, table, predictor)) as found:
                async for rows in found:
                    yield rows

    async def evaluate(
        self, caller: Principal, order: DatasetOrder
    ) -> AsyncGenerator[tuple[int, int] | Evaluated, None]:
        """(rows done, rows of all) after each turn, then the evaluation. Raises NotFoundError or InvalidInputError."""
        _require(caller)
        async with self._opened(caller, order, targets=True) as (table, predictor):
            if table.row_count > (most := most_rows(predictor.outputs)):
                message = f"holds {table.row_count:,} rows, and at most {most:,} are evaluated with these outputs"
                raise invalid("dataset", f"{message}; evaluate on a sample of them", reason=Reason.TOO_LARGE)
            answered = Answered(predictor.inputs, predictor.outputs, table)
            errors: dict[int, InvalidInputError] = {}
            left_out = 0
            async with aclosing(self._predicted(caller, order, table, predictor)) as found:
                async for rows in found:
                    refused = rows.prediction.refused
                    left_out += len(refused)
                    for row, error in sorted(refused.items())[: _MOST_ERRORS - len(errors)]:
                        errors[rows.first_row + row] = error
                    good = np.setdiff1d(np.arange(rows.rows), list(refused)) + rows.first_row
                    await self._executors.rows.run(answered.add, good, rows.prediction.outputs)
                    yield rows.first_row + rows.rows, rows.row_count
            metrics = await self._executors.planning.run(answered.metrics)
            if not metrics:
                message = "has no row with a target that could be read; evaluate on rows whose answers are known"
                raise invalid("dataset", message, reason=Reason.ALL_MISSING)
            outputs = await self._executors.planning.run(answered.evaluations)
            yield Evaluated(table.row_count, metrics, outputs, left_out, errors)

    async def _predicted(
        self, caller: Principal, order: DatasetOrder, table: Table, predictor: Predictor
    ) -> AsyncGenerator[PredictedRows, None]:
        values = sum(len(feature.classes) for feature in predictor.outputs)
        most = max(1, min(self._max_rows, _VALUES // max(1, values)))
        reader = TableReader(table, predictor.inputs, self._limits, most)
        start = order.first_row
        while start < table.row_count:
            rows = await self._executors.rows.run(reader.rows, start)
            asked = PredictOrder(
                order.model,
                partial(_readable, rows),
                rows.count,
                rows.cells.nbytes,
                order.reuse,
                begun=True,
                skip_bad_rows=True,
                field="dataset",
                first_row=start,
            )
            prediction = await self._predictions.predict(caller, asked)
            yield PredictedRows(start, rows.count, table.row_count, prediction)
            start += rows.count

    @asynccontextmanager
    async def _opened(
        self, caller: Principal, order: DatasetOrder, *, targets: bool = False
    ) -> AsyncIterator[tuple[Table, Predictor]]:
        """The rows, with the columns of targets where they are wanted, and the live model; what was written of rows
        that came with the request goes afterwards."""
        identifier, own = f"predict-{new_id()}", self._tenants.of(caller.tenant)
        over = threading.Event()
        with self._counted(caller.tenant):
            try:
                predictor = await self._executors.loading.run(self._pool.get, caller.tenant, order.model)
                table = await self._executors.planning.run(self._table, caller, order, identifier, over)
                needed = [feature for feature in predictor.inputs if not feature.optional]
                needed += predictor.outputs if targets else ()
                table.require_all(feature.spec.source for feature in needed)
                yield table, predictor
            finally:
                over.set()
                await self._executors.files.run(own.admission.discard, identifier)

    @contextmanager
    def _counted(self, tenant: str) -> Iterator[None]:
        """Raises OverloadedError where as many calls go on already."""
        if self._open.total() >= _MOST_CALLS or self._open[tenant] >= _MOST_OF_A_TENANT:
            message = f"{_MOST_OF_A_TENANT} data sets are predicted for you at the same time, {_MOST_CALLS} for all"
            raise OverloadedError(f"at most {message}; wait until one is done", retry_after=5.0)
        self._open[tenant] += 1
        try:
            yield
        finally:
            self._open[tenant] -= 1
            if not self._open[tenant]:
                del self._open[tenant]

    def _table(self, caller: Principal, order: DatasetOrder, identifier: str, over: threading.Event) -> Table:
        admission = self._tenants.of(caller.tenant).admission
        try:
            return admission.table(admission.files({"dataset": order.read()}, self._layout.job(identifier)))
        finally:
            if over.is_set():  # the call was cancelled, and what is written now nobody else takes away
                admission.discard(identifier)


def _require(caller: Principal) -> None:
    """Reading data sets takes one scope, and having rows answered the other."""
    caller.require(Scope.TRAIN)
    caller.require(Scope.PREDICT)


def _readable(rows: TableRows, _: Predictor, bad: BadCells | None) -> pa.Table:
    """See PredictOrder."""
    assert bad is not None  # rows that cannot be read are left out
    bad.update(rows.bad)
    return rows.cells
