"""Predictions of published models."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import structlog

from headstart_server.core import deadlines
from headstart_server.core.errors import (
    DeadlineExceededError,
    HeadstartError,
    InvalidInputError,
    OverloadedError,
    UnexpectedError,
    invalid,
)
from headstart_server.core.executors import Executors
from headstart_server.core.principal import Principal, Scope
from headstart_server.core.quotas import Quotas
from headstart_server.data.features.cells import BadCells
from headstart_server.data.tables import Table, table_of_arrow
from headstart_server.serving.batcher import Batcher
from headstart_server.serving.decode import Decoded, decode
from headstart_server.serving.inputs import Reuse
from headstart_server.serving.limiter import Permit
from headstart_server.serving.pool import ModelPool
from headstart_server.serving.predictor import Predictor
from headstart_server.serving.rows import Rows

_log = structlog.get_logger()


@dataclass(frozen=True)
class PredictOrder:
    """Rows for a model."""

    model: str
    read: Callable[[Predictor, BadCells | None], pa.Table]
    """Given the model, and where to note bad cells; raises InvalidInputError for what is no table."""
    rows: int
    """As far as they can be counted before they are read."""
    size: int
    """Bytes of the request."""
    reuse: Reuse = Reuse.EXACT
    few: bool = False
    """Whether reading and tokenising the rows takes less time than a change of threads."""
    begun: bool = False
    """Whether it goes on with a stream of which rows were taken before: it waits for its turn, however long."""
    skip_bad_rows: bool = False
    """Whether rows that cannot be read are left out, where they would fail the order."""
    field: str = "table"
    """Of the request, which names the rows in errors."""
    first_row: int = 0
    """The number of the first of them, as errors count."""


@dataclass(frozen=True)
class Prediction:
    """The answer to some rows."""

    outputs: list[Decoded]
    rows_found: int
    """Rows that no encoder had to read."""
    warnings: tuple[str, ...]
    refused: Mapping[int, InvalidInputError] = field(default_factory=dict)
    """What is wrong with rows that were left out, by their number from 0."""


class PredictionService:
    """Use cases of predictions. Runs on the server's event loop."""

    def __init__(
        self, pool: ModelPool, batcher: Batcher, max_rows: int, executors: Executors, quotas: Quotas | None = None
    ) -> None:
        self._quotas = quotas or Quotas()
        self._pool, self._batcher, self._max_rows, self._executors = pool, batcher, max_rows, executors

    async def predict(self, caller: Principal, order: PredictOrder) -> Prediction:
        """Predicts; raises NotFoundError, InvalidInputError, DeadlineExceededError, or OverloadedError."""
        caller.require(Scope.PREDICT)
        # by tenant, too: what is known of a model must not tell others of it
        limiter, kind = self._batcher.limiter, f"{caller.tenant}/{order.model}"
        # before anything is done for the caller, so that a refusal costs little
        with limiter.admitted(caller.tenant, kind, order.rows, order.size, however_long=order.begun) as permit:
            await self._quotas.taken_rows(caller.tenant, order.rows, patient=order.begun)
            return await self._predicted(caller.tenant, order, permit)

    async def predict_many(
        self, caller: Principal, orders: Sequence[PredictOrder]
    ) -> list[Prediction | HeadstartError]:
        """Predicts the same rows by several models; where one fails its error stands in its place.

        Raises DeadlineExceededError, or OverloadedError.
        """
        caller.require(Scope.PREDICT)
        first = orders[0]
        # a kind of its own: rows that several models share are read once, and take less time than rows do
        kind = f"{caller.tenant}/{first.model} of {len(orders)}"
        with self._batcher.limiter.admitted(caller.tenant, kind, first.rows, first.size) as permit:
            permit.read_once = True
            await self._quotas.taken_rows(caller.tenant, first.rows * len(orders))
            asked = [asyncio.ensure_future(self._predicted_or_error(caller.tenant, order, permit)) for order in orders]
            try:
                return list(await asyncio.gather(*asked))
            finally:
                # where one has ended the call: nobody waits for the others, whose permit goes now
                for each in asked:
                    each.cancel()

    async def _predicted_or_error(
        self, tenant: str, order: PredictOrder, permit: Permit
    ) -> Prediction | HeadstartError:
        try:
            return await self._predicted(tenant, order, permit)
        except (DeadlineExceededError, OverloadedError):
            raise  # of all
        except HeadstartError as error:
            return error
        except Exception:  # noqa: BLE001 - it fails one model of several, and the log has it
            _log.exception("a model fails unexpectedly", model=order.model)
            return UnexpectedError()

    async def _predicted(self, tenant: str, order: PredictOrder, permit: Permit) -> Prediction:
        predictor = self._pool.loaded(tenant, order.model)
        if predictor is None:
            predictor = await self._executors.loading.run(self._pool.get, tenant, order.model)
        if order.few and not order.skip_bad_rows:
            rows, bad = self._rows(order, predictor)
        else:
            rows, bad = await self._executors.rows.run(self._rows, order, predictor)
        self._batcher.limiter.counted(permit, rows.count if rows is not None else 0)
        if rows is None:
            return Prediction([Decoded(feature, [], [], None) for feature in predictor.outputs], 0, (), bad)
        answer = await self._batcher.predict(predictor, rows, order.reuse, permit)
        outputs = [decode(feature, answer.outputs[feature.name]) for feature in predictor.outputs]
        return Prediction(outputs, int(answer.rows_found.sum()), rows.warnings, bad)

    def _rows(self, order: PredictOrder, predictor: Predictor) -> tuple[Rows | None, BadCells]:
        """The rows that can be read, if there are any, and what is wrong with the others."""
        deadlines.require_time()  # it may have passed while the call waited for this thread
        bad: BadCells = {}
        rows = order.read(predictor, bad if order.skip_bad_rows else None)
        if rows.num_rows > self._max_rows:
            raise invalid(
                "table", f"holds {rows.num_rows} rows, at most {self._max_rows} fit one request; send more on a stream"
            )
        table = replace(table_of_arrow(rows, order.field, vectors=True), first_row=order.first_row)
        if order.skip_bad_rows:
            bad = predictor.refused(table) | bad
            if len(bad) == table.row_count:
                return None, bad
            if bad:
                good = np.setdiff1d(np.arange(table.row_count), list(bad))
                table = Table(table.rows.take(pa.array(good)), table.field)
        return predictor.rows(table), bad
