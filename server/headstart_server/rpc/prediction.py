"""PredictionService."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from google.rpc.status_pb2 import Status
from headstart.v1 import prediction_pb2 as pb
from headstart.v1 import prediction_pb2_grpc, table_pb2

from headstart_server.core.errors import HeadstartError, InvalidInputError, NotFoundError, invalid
from headstart_server.core.executors import Executor
from headstart_server.core.names import name_of
from headstart_server.core.principal import Principal
from headstart_server.data.features.cells import BadCells
from headstart_server.rpc.callers import caller_of
from headstart_server.rpc.columns import row_count
from headstart_server.rpc.errors import row_status, status_of
from headstart_server.rpc.evaluation import evaluation_message
from headstart_server.rpc.job_orders import data_source
from headstart_server.rpc.jobs import MODELS
from headstart_server.rpc.request_streams import in_order, known_id, returned_id
from headstart_server.rpc.reuse import reuse_of
from headstart_server.rpc.tables import announced, arrow_table
from headstart_server.service.dataset_prediction import DatasetOrder, DatasetPredictionService, Evaluated
from headstart_server.service.model_names import ModelNames
from headstart_server.service.prediction import Prediction, PredictionService, PredictOrder
from headstart_server.serving.decode import Decoded
from headstart_server.serving.predictor import Predictor

_INLINE_ROWS, _INLINE_BYTES = 16, 16 << 10
_INLINE_VALUES, _VALUES_AT_ONCE = 4_096, 65_536
_ERRORS_AT_ONCE = 64
_MOST_MODELS = 256
_Request = pb.PredictRequest | pb.PredictManyRequest | pb.PredictDatasetRequest
"""Requests whose options have the same names."""


class PredictionServicer(prediction_pb2_grpc.PredictionServiceServicer):
    """Parses, calls the use case, converts."""

    def __init__(
        self,
        predictions: PredictionService,
        datasets: DatasetPredictionService,
        names: ModelNames,
        rows: Executor,
    ) -> None:
        self._predictions, self._datasets, self._names, self._rows = predictions, datasets, names, rows

    async def Predict(self, request: pb.PredictRequest, context: Any) -> pb.PredictResponse:  # noqa: N802
        """Predicts one table."""
        caller = caller_of(context)
        order = await self._order(caller, request)
        return await self._response(request, order.model, await self._predictions.predict(caller, order))

    async def PredictMany(self, request: pb.PredictManyRequest, context: Any) -> pb.PredictManyResponse:  # noqa: N802
        """Predicts one table by several models."""
        caller = caller_of(context)
        asked = [await self._order_or_error(caller, request, place) for place in range(_checked(request.models))]
        orders = [order for order in asked if isinstance(order, PredictOrder)]
        found = iter(await self._predictions.predict_many(caller, orders) if orders else [])
        response = pb.PredictManyResponse()
        for name, order in zip(request.models, asked, strict=True):
            answer = next(found) if isinstance(order, PredictOrder) else order
            if isinstance(answer, HeadstartError):
                response.predictions.add(model=name, error=status_of(answer)[2])
            else:
                assert isinstance(order, PredictOrder)
                told = await self._response(request, order.model, answer)
                response.predictions.add(model=name, response=told)
        return response

    async def PredictStream(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.PredictStreamRequest], context: Any
    ) -> AsyncIterator[pb.PredictStreamResponse]:
        """Predicts tables in order, each as soon as it is ready; see `in_order`."""
        caller = caller_of(context)

        async def answer(request: pb.PredictStreamRequest, begun: bool) -> pb.PredictStreamResponse:
            identifier = known_id(request.id)
            order = await self._order(caller, request.request, begun=begun, skip_bad_rows=request.skip_bad_rows)
            found = await self._predictions.predict(caller, order)
            response = pb.PredictStreamResponse(
                id=identifier, response=await self._response(request.request, order.model, found)
            )
            response.row_errors.extend([error async for error in _row_errors(found.refused)])
            return response

        def failed(request: pb.PredictStreamRequest, error: Status) -> pb.PredictStreamResponse:
            return pb.PredictStreamResponse(id=returned_id(request.id), error=error)

        async with aclosing(in_order("PredictStream", request_iterator, answer, failed)) as responses:
            async for response in responses:
                yield response

    async def PredictDataset(  # noqa: N802
        self, request: pb.PredictDatasetRequest, context: Any
    ) -> AsyncIterator[pb.PredictDatasetResponse]:
        """Predicts a data set, some rows at a time."""
        caller = caller_of(context)
        _check_options(request)
        order = await self._dataset_order(caller, request, first_row=request.first_row)
        async with aclosing(self._datasets.predict(caller, order)) as turns:
            async for turn in turns:
                response = pb.PredictDatasetResponse(
                    first_row=turn.first_row,
                    rows=turn.rows,
                    row_count=turn.row_count,
                    response=await self._response(request, order.model, turn.prediction),
                )
                refused = {turn.first_row + row: error for row, error in turn.prediction.refused.items()}
                response.row_errors.extend([error async for error in _row_errors(refused)])
                yield response

    async def EvaluateModel(  # noqa: N802
        self, request: pb.EvaluateModelRequest, context: Any
    ) -> AsyncIterator[pb.EvaluateModelResponse]:
        """Evaluates a model on a data set."""
        caller = caller_of(context)
        order = await self._dataset_order(caller, request)
        async with aclosing(self._datasets.evaluate(caller, order)) as found:
            async for step in found:
                if isinstance(step, Evaluated):
                    errors = [error async for error in _row_errors(step.errors)]
                    yield pb.EvaluateModelResponse(evaluation=_evaluation(order.model, step, errors))
                else:
                    done, total = step
                    progress = pb.EvaluationProgress(rows_done=done, rows_total=total)
                    yield pb.EvaluateModelResponse(progress=progress)

    async def _dataset_order(
        self, caller: Principal, request: pb.PredictDatasetRequest | pb.EvaluateModelRequest, first_row: int = 0
    ) -> DatasetOrder:
        """What a request asks for; raises InvalidInputError naming the field, or NotFoundError for an alias."""
        reuse = reuse_of(request.embedding_reuse)
        identifier = await self._names.identifier(caller, request.model, "model")
        read = partial(data_source, request.dataset, "dataset")
        return DatasetOrder(identifier, read, reuse, first_row)

    async def _response(self, request: _Request, model: str, found: Prediction) -> pb.PredictResponse:
        """The answer; a large one is made on a thread, so that others are answered meanwhile."""
        if _size(request, found) <= _INLINE_VALUES:
            return _response(request, model, found)
        return await self._rows.run(_response, request, model, found)

    async def _order_or_error(
        self, caller: Principal, request: pb.PredictManyRequest, place: int
    ) -> PredictOrder | HeadstartError:
        """What a request asks of one of its models; the error where there is none of that name."""
        try:
            identifier = await self._names.identifier(caller, request.models[place], f"models[{place}]")
        except (InvalidInputError, NotFoundError) as error:
            return error
        return _order(request, identifier)

    async def _order(
        self, caller: Principal, request: pb.PredictRequest, *, begun: bool = False, skip_bad_rows: bool = False
    ) -> PredictOrder:
        """What a request asks for; raises InvalidInputError naming the field, or NotFoundError for an alias."""
        identifier = await self._names.identifier(caller, request.model, "model")
        return replace(_order(request, identifier), begun=begun, skip_bad_rows=skip_bad_rows)


def _checked(models: Sequence[str]) -> int:
    """How many models are asked; raises InvalidInputError."""
    if not models:
        raise invalid("models", "is empty; name a model")
    if len(models) > _MOST_MODELS:
        raise invalid("models", f"names {len(models)} models; name at most {_MOST_MODELS}, and send several requests")
    if len(set(models)) < len(models):
        name, _ = Counter(models).most_common(1)[0]
        raise invalid("models", f"{name[:80]!r} is named twice; leave one out")
    return len(models)


def _check_options(request: _Request) -> None:
    if request.top_k < 0:
        raise invalid("top_k", f"{request.top_k} is negative; use 0 for none")


def _evaluation(model: str, found: Evaluated, errors: Sequence[pb.RowError]) -> pb.ModelEvaluation:
    message = pb.ModelEvaluation(
        model=name_of(MODELS, model),
        row_count=found.row_count,
        metrics=found.metrics,
        outputs=map(evaluation_message, found.outputs),
        rows_left_out=found.rows_left_out,
        row_errors=errors,
    )
    for output in message.outputs:
        output.ClearField("part")  # of whose data nobody knows what was learned from it
    return message


def _order(request: pb.PredictRequest | pb.PredictManyRequest, identifier: str) -> PredictOrder:
    """What a request asks of a model; raises InvalidInputError naming the field."""
    _check_options(request)
    reuse = reuse_of(request.embedding_reuse)
    rows, size = announced(request.table)
    return PredictOrder(
        identifier,
        partial(_read, request.table),
        rows,
        size,
        reuse,
        few=size <= _INLINE_BYTES and _is_small(request.table),
    )


def _read(table: table_pb2.Table, predictor: Predictor, bad: BadCells | None) -> pa.Table:
    return arrow_table(table, "table", bad, {feature.spec.source for feature in predictor.inputs})


def _size(request: _Request, found: Prediction) -> int:
    """About how many values a response holds."""
    size = 0
    for decoded in found.outputs:
        size += len(decoded.values)
        if decoded.probabilities is not None and (request.probabilities or request.top_k):
            size += decoded.probabilities.size
    return size


def _response(request: _Request, model: str, found: Prediction) -> pb.PredictResponse:
    return pb.PredictResponse(
        rows_found=found.rows_found,
        model=name_of(MODELS, model),
        warnings=found.warnings,
        outputs=[
            _message(decoded, probabilities=request.probabilities, top_k=request.top_k) for decoded in found.outputs
        ],
    )


async def _row_errors(refused: Mapping[int, InvalidInputError]) -> AsyncIterator[pb.RowError]:
    """The rows that were left out, in order; others have the event loop in between where there are many."""
    for count, (row, error) in enumerate(sorted(refused.items())):
        if count % _ERRORS_AT_ONCE == _ERRORS_AT_ONCE - 1:
            await asyncio.sleep(0)
        yield pb.RowError(row=row, status=row_status(error))


def _is_small(table: table_pb2.Table) -> bool:
    """Whether reading the rows takes less time than a change of threads, which images never do."""
    count = row_count(table.columns[0]) if table.columns else 0
    return 0 < count <= _INLINE_ROWS and all(column.WhichOneof("values") != "bytes" for column in table.columns)


def _message(decoded: Decoded, *, probabilities: bool, top_k: int) -> pb.OutputPrediction:
    message = pb.OutputPrediction(feature=decoded.feature.name)
    kind = decoded.feature.spec.type
    match kind:
        case "category":
            message.labels.values.extend(decoded.values)
        case "binary" if isinstance(decoded.values[0] if decoded.values else None, bool):
            message.bools.values.extend(decoded.values)
        case "binary":
            message.labels.values.extend(decoded.values)
        case "number":
            message.numbers.values.extend(decoded.values)
        case "set":
            message.sets.rows.extend(table_pb2.StringValues(values=row) for row in decoded.values)
        case _:
            matrix = np.asarray(decoded.values, np.float32)
            message.vectors.width = matrix.shape[1] if matrix.ndim > 1 else 0
            message.vectors.values.extend(matrix.ravel().tolist())
    if decoded.probabilities is not None and probabilities:
        message.classes.extend(decoded.classes)
        values = decoded.probabilities.ravel()
        for start in range(0, len(values), _VALUES_AT_ONCE):  # protobuf holds Python's lock while it takes them
            message.probabilities.extend(values[start : start + _VALUES_AT_ONCE].tolist())
    if decoded.probabilities is not None and top_k and kind == "category":
        order = np.argsort(-decoded.probabilities, axis=1, kind="stable")[:, :top_k]
        for row, indices in enumerate(order):
            labels = [decoded.classes[index] for index in indices]
            message.top.add(labels=labels, probabilities=decoded.probabilities[row, indices].tolist())
    return message
