"""PredictionService."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from headstart.v1 import prediction_pb2 as pb
from headstart.v1 import prediction_pb2_grpc, table_pb2

from headstart_server.core.errors import invalid
from headstart_server.core.names import id_of
from headstart_server.core.principal import Principal
from headstart_server.rpc.callers import caller_of
from headstart_server.rpc.jobs import MODELS
from headstart_server.rpc.ordered import answered_in_order
from headstart_server.rpc.tables import announced, arrow_table
from headstart_server.service.prediction import PredictionService, PredictOrder
from headstart_server.serving.decode import Decoded
from headstart_server.serving.inputs import Reuse
from headstart_server.serving.predictor import Predictor

_INLINE_ROWS = 16
_REUSE = {
    pb.PredictRequest.EMBEDDING_REUSE_UNSPECIFIED: Reuse.EXACT,
    pb.PredictRequest.EMBEDDING_REUSE_EXACT: Reuse.EXACT,
    pb.PredictRequest.EMBEDDING_REUSE_ANY: Reuse.ANY,
    pb.PredictRequest.EMBEDDING_REUSE_NONE: Reuse.NONE,
}


class PredictionServicer(prediction_pb2_grpc.PredictionServiceServicer):
    """Parses, calls the use case, converts."""

    def __init__(self, predictions: PredictionService) -> None:
        self._predictions = predictions

    async def Predict(self, request: pb.PredictRequest, context: Any) -> pb.PredictResponse:  # noqa: N802
        """Predicts one table."""
        return await self._predict(request, caller_of(context), begun=False)

    async def PredictStream(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.PredictRequest], context: Any
    ) -> AsyncIterator[pb.PredictResponse]:
        """Predicts tables in order, each as soon as it is ready; a few are read ahead.

        A stream may be refused at its beginning; once it has begun, its tables wait for their turn.
        """
        caller = caller_of(context)

        def answer(request: pb.PredictRequest, begun: bool) -> Awaitable[pb.PredictResponse]:
            return self._predict(request, caller, begun=begun)

        async with aclosing(answered_in_order(request_iterator, answer)) as answers:
            async for response in answers:
                yield response

    async def _predict(self, request: pb.PredictRequest, caller: Principal, *, begun: bool) -> pb.PredictResponse:
        identifier = id_of(MODELS, request.model, "model")
        if request.top_k < 0:
            raise invalid("top_k", f"{request.top_k} is negative; use 0 for none")
        if request.embedding_reuse not in _REUSE:
            raise invalid("embedding_reuse", f"{request.embedding_reuse} is unknown")
        rows, size = announced(request.table)
        few = _is_small(request.table)
        read = partial(_read, request)
        order = PredictOrder(identifier, read, rows, size, _REUSE[request.embedding_reuse], few, begun)
        answer = await self._predictions.predict(caller, order)
        wanted = request.probabilities if request.HasField("probabilities") else True
        return pb.PredictResponse(
            rows_found=answer.rows_found,
            model=request.model,
            warnings=answer.warnings,
            outputs=[_message(decoded, probabilities=wanted, top_k=request.top_k) for decoded in answer.outputs],
        )


def _read(request: pb.PredictRequest, _: Predictor) -> pa.Table:
    return arrow_table(request.table, "table")


def _is_small(table: table_pb2.Table) -> bool:
    """Whether reading the rows takes less time than a change of threads, which images never do."""
    first = table.columns[0] if table.columns else None
    kind = first.WhichOneof("values") if first is not None else None
    count = len(getattr(first, kind).values) if first is not None and kind else 0
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
            message.vectors.rows.extend(table_pb2.DoubleValues(values=row) for row in decoded.values)
    if decoded.probabilities is not None and probabilities:
        message.classes.extend(decoded.classes)
        message.probabilities.extend(decoded.probabilities.ravel().tolist())
    if decoded.probabilities is not None and top_k and kind == "category":
        order = np.argsort(-decoded.probabilities, axis=1, kind="stable")[:, :top_k]
        for row, indices in enumerate(order):
            labels = [decoded.classes[index] for index in indices]
            message.top.add(labels=labels, probabilities=decoded.probabilities[row, indices].tolist())
    return message
