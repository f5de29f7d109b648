"""Predict and evaluate whole data sets on the server, over connections that break."""

from __future__ import annotations

from collections.abc import Callable

from headstart.errors import Unavailable
from headstart.programs.dataset_source import Data, Sender
from headstart.programs.predict import PredictOptions
from headstart.programs.retry import Patience, RetryPolicy, persistently
from headstart.programs.upload import Progress
from headstart.v1.prediction_pb2 import EvaluateModelRequest, ModelEvaluation, PredictDatasetRequest
from headstart.values.image_columns import ImageColumns
from headstart.values.names import full_name
from headstart.values.predictions import Predictions
from headstart.wire.methods import EVALUATE_MODEL, PREDICT_DATASET
from headstart.wire.rpc_errors import error_from_status
from headstart.wire.steps import Emit, Flow, Program, open_stream, read

OnRows = Callable[[int, int], object]
"""Told (rows that are done, rows of all)."""


def predict_dataset(
    options: PredictOptions, data: Data, first_row: int, policy: RetryPolicy, progress: Progress | None = None
) -> Flow[Predictions]:
    """Upload the rows unless they are there, and emit their predictions; a stream that breaks goes on where it was."""
    source = yield from Sender(ImageColumns.unknown(), policy, progress).source_of(data)
    request = PredictDatasetRequest(
        model=full_name("models", options.model),
        dataset=source,
        probabilities=options.probabilities,
        top_k=options.top_k,
        embedding_reuse=options.reuse(),
        first_row=first_row,
    )
    row_count = first_row + 1  # at least: known with the first answer

    def attempt(patience: Patience) -> Flow[Predictions]:
        nonlocal row_count
        if request.first_row >= row_count:  # all had arrived when the stream broke
            return
        stream = yield from open_stream(PREDICT_DATASET, request)
        while (response := (yield from read(stream))) is not None:
            patience.progress()
            row_count = response.row_count
            request.first_row = response.first_row + response.rows
            errors = {error.row: error_from_status(error.status) for error in response.row_errors}
            yield Emit(Predictions.of(response.response, errors))
        if request.first_row < row_count:
            raise Unavailable("the server closed the stream before the last row")

    yield from persistently(attempt, policy)


def evaluate(
    model: str,
    data: Data,
    embedding_reuse: str,
    policy: RetryPolicy,
    on_rows: OnRows | None = None,
    progress: Progress | None = None,
) -> Program[ModelEvaluation]:
    """Upload the rows unless they are there, and evaluate a model on them; tried again where the connection breaks."""
    source = yield from Sender(ImageColumns.unknown(), policy, progress).source_of(data)
    reuse = PredictOptions(model, embedding_reuse=embedding_reuse).reuse()
    request = EvaluateModelRequest(model=full_name("models", model), dataset=source, embedding_reuse=reuse)

    def attempt(patience: Patience) -> Program[ModelEvaluation]:
        stream = yield from open_stream(EVALUATE_MODEL, request)
        while (response := (yield from read(stream))) is not None:
            patience.progress()
            if response.WhichOneof("event") == "evaluation":
                return response.evaluation
            if on_rows is not None:
                on_rows(response.progress.rows_done, response.progress.rows_total)
        raise Unavailable("the server closed the stream before the evaluation")

    return (yield from persistently(attempt, policy))
