"""Predict one table or a stream of them, with the caller's own errors kept apart from the server's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from headstart.errors import InvalidArgument
from headstart.files.memory_images import holds_paths, image_inputs, may_name_images, table_with_images
from headstart.programs.batches import Batches, answers
from headstart.v1.model_pb2 import GetModelRequest
from headstart.v1.prediction_pb2 import (
    ModelPrediction,
    PredictManyRequest,
    PredictRequest,
    PredictStreamRequest,
    PredictStreamResponse,
)
from headstart.v1.table_pb2 import Table
from headstart.values.names import full_name
from headstart.values.predictions import Predictions
from headstart.values.table import Rows, columns_of
from headstart.wire.methods import GET_MODEL, PREDICT, PREDICT_MANY, PREDICT_STREAM
from headstart.wire.rpc_errors import error_from_status
from headstart.wire.steps import Flow, Program, call, compute

REUSE = {
    "exact": PredictRequest.EMBEDDING_REUSE_EXACT,
    "any": PredictRequest.EMBEDDING_REUSE_ANY,
    "none": PredictRequest.EMBEDDING_REUSE_NONE,
}


@dataclass(frozen=True)
class PredictOptions:
    """What a prediction is asked for besides its rows."""

    model: str
    probabilities: bool = True
    top_k: int = 0
    embedding_reuse: str = "exact"

    def request(self, rows: Rows, images: Collection[str] = ()) -> PredictRequest:
        """Return the request for some rows; texts in `images` columns are paths of files."""
        return PredictRequest(
            model=full_name("models", self.model),
            table=table_with_images(rows, images),
            probabilities=self.probabilities,
            top_k=self.top_k,
            embedding_reuse=self.reuse(),
        )

    def reuse(self) -> PredictRequest.EmbeddingReuse:
        """Return which stored embeddings may stand in; raises InvalidArgument for a word that says none."""
        if self.embedding_reuse not in REUSE:
            raise InvalidArgument(f"embedding_reuse {self.embedding_reuse!r} is unknown; use one of {', '.join(REUSE)}")
        return REUSE[self.embedding_reuse]


def predict(options: PredictOptions, rows: Rows) -> Program[Predictions]:
    """Predict the rows of one small table. Where a text may name an image, the model is asked whether it does."""
    if isinstance(rows, Table):
        return Predictions.of((yield from call(PREDICT, options.request(rows))))
    columns = columns_of(rows)
    images: Collection[str] = ()
    if may_name_images(columns):
        images = yield from _image_inputs(options)
    if images or holds_paths(columns):
        request = yield from compute(lambda: options.request(columns, images))
    else:
        request = options.request(columns)
    return Predictions.of((yield from call(PREDICT, request)))


def predict_many(models: Sequence[str], options: PredictOptions, rows: Rows) -> Program[dict[str, Predictions]]:
    """Predict the rows of one small table by several models; one that fails has its error in its predictions."""
    images: set[str] = set()
    if not isinstance(rows, Table) and may_name_images(columns_of(rows)):
        for model in models:
            images.update((yield from _image_inputs(replace(options, model=model))))
    request = PredictManyRequest(
        models=[full_name("models", model) for model in models],
        table=(yield from compute(lambda: table_with_images(rows, images))),
        probabilities=options.probabilities,
        top_k=options.top_k,
        embedding_reuse=options.reuse(),
    )
    found = (yield from call(PREDICT_MANY, request)).predictions
    return {model: _of_many(answer) for model, answer in zip(models, found, strict=True)}


def _of_many(answer: ModelPrediction) -> Predictions:
    if answer.WhichOneof("result") == "error":
        return Predictions({}, answer.model, 0, error=error_from_status(answer.error))
    return Predictions.of(answer.response)


def _image_inputs(options: PredictOptions) -> Program[Collection[str]]:
    return image_inputs((yield from call(GET_MODEL, GetModelRequest(name=full_name("models", options.model)))))


def predict_stream(
    options: PredictOptions, batches: Iterable[Rows], errors: str = "raise", skip_bad_rows: bool = False
) -> Flow[Predictions]:
    """Emit the predictions of each batch, in order."""
    images: Collection[str] = ()

    def request(rows: Rows) -> tuple[PredictStreamRequest, Table]:
        made = options.request(rows, images)
        return PredictStreamRequest(request=made, skip_bad_rows=skip_bad_rows), made.table

    sent = Batches(batches, request, errors)
    images = yield from _image_inputs(options)
    yield from answers(PREDICT_STREAM, sent, partial(_answer, options))


def _answer(options: PredictOptions, response: PredictStreamResponse) -> Predictions:
    if response.WhichOneof("result") == "error":
        return Predictions({}, full_name("models", options.model), 0, error=error_from_status(response.error))
    refused = {item.row: error_from_status(item.status) for item in response.row_errors}
    return Predictions.of(response.response, refused)
