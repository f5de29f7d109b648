"""A prediction service whose answers can be told from its questions."""

# ruff: noqa: N802  (methods are named as in the protos)

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from headstart.v1 import embedding_pb2, prediction_pb2
from headstart.v1.embedding_pb2_grpc import EmbeddingServiceServicer
from headstart.v1.prediction_pb2_grpc import PredictionServiceServicer
from headstart.v1.table_pb2 import DoubleValues, FloatMatrix, StringLists, StringValues, Table

from tests.support.arrow import read_ipc
from tests.support.refusals import OneOfAStream, Refusal, RefusedError, not_found


class FakePrediction(PredictionServiceServicer):
    """Predicts `long` for texts over 5 characters, else `short`, and their length; images are read as their bytes."""

    def __init__(self) -> None:
        self.column = "review"
        self.requests: list[prediction_pb2.PredictRequest] = []
        self.answers_left: int | None = None
        self.metadata: dict[str, str | bytes] = {}
        self.dataset_rows = 7
        self.broken_after: list[int] = []
        """After how many answers each next stream about a data set breaks."""
        self.dataset_requests: list[prediction_pb2.PredictDatasetRequest] = []
        self.evaluations: list[prediction_pb2.EvaluateModelRequest] = []

    def Predict(
        self, request: prediction_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> prediction_pb2.PredictResponse:
        """Predict one table."""
        self.metadata = dict(context.invocation_metadata())
        self.requests.append(request)
        if request.model.endswith("/none"):
            not_found(request.model).abort(context)
        texts = _column(request.table, self.column, context)
        if "no image" in texts:
            where = f"column {self.column!r}, row {texts.index('no image') + 1}"
            Refusal(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"table: {where}: is no image",
                reason="BAD_IMAGE",
                violations={"table": f"{where}: is no image"},
            ).abort(context)
        response = prediction_pb2.PredictResponse(model=request.model, rows_found=len(texts))
        response.outputs.append(_label(texts, request))
        lengths = DoubleValues(values=[len(text) for text in texts])
        response.outputs.append(prediction_pb2.OutputPrediction(feature="length", numbers=lengths))
        tags = [StringValues(values=sorted(set(text.split()))) for text in texts]
        response.outputs.append(prediction_pb2.OutputPrediction(feature="tags", sets=StringLists(rows=tags)))
        vectors = FloatMatrix(width=2, values=[value for text in texts for value in (1.0, len(text))])
        response.outputs.append(prediction_pb2.OutputPrediction(feature="shape", vectors=vectors))
        return response

    def PredictMany(
        self, request: prediction_pb2.PredictManyRequest, context: grpc.ServicerContext
    ) -> prediction_pb2.PredictManyResponse:
        """Predict one table by every model but `models/none`."""
        response = prediction_pb2.PredictManyResponse()
        for model in request.models:
            answer = response.predictions.add(model=model)
            one = prediction_pb2.PredictRequest(model=model, table=request.table, top_k=request.top_k)
            one.probabilities, one.embedding_reuse = request.probabilities, request.embedding_reuse
            if model == "models/none":
                answer.error.CopyFrom(not_found(model).status())
            else:
                answer.response.CopyFrom(self.Predict(one, context))
        return response

    def PredictStream(
        self, request_iterator: Iterator[prediction_pb2.PredictStreamRequest], context: grpc.ServicerContext
    ) -> Iterator[prediction_pb2.PredictStreamResponse]:
        """Predict tables in order, as many as `answers_left` allows; rows of the text `bad` may be left out."""
        for answered, request in enumerate(request_iterator):
            if answered == self.answers_left:
                return
            answer = prediction_pb2.PredictStreamResponse(id=request.id)
            if request.skip_bad_rows:
                answer.row_errors.extend(_without_bad(request.request.table))
            try:
                answer.response.CopyFrom(self.Predict(request.request, one_of(context)))
            except RefusedError as error:
                answer.error.CopyFrom(error.status)
            yield answer

    def PredictDataset(
        self, request: prediction_pb2.PredictDatasetRequest, context: grpc.ServicerContext
    ) -> Iterator[prediction_pb2.PredictDatasetResponse]:
        """Predict two rows at a time, each with its number; row 1 cannot be read."""
        self.dataset_requests.append(prediction_pb2.PredictDatasetRequest.FromString(request.SerializeToString()))
        answers = self.broken_after.pop(0) if self.broken_after else self.dataset_rows
        for start in range(request.first_row, self.dataset_rows, 2):
            if not answers:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the server stops")
            answers -= 1
            rows = range(start, min(start + 2, self.dataset_rows))
            response = prediction_pb2.PredictResponse(model=request.model)
            numbers = DoubleValues(values=[row for row in rows if row != 1])
            response.outputs.append(prediction_pb2.OutputPrediction(feature="number", numbers=numbers))
            answer = prediction_pb2.PredictDatasetResponse(
                first_row=start, rows=len(rows), row_count=self.dataset_rows, response=response
            )
            if 1 in rows:
                refusal = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "table: row 2: is bad", reason="BAD_CELL")
                answer.row_errors.add(row=1, status=refusal.status())
            yield answer

    def EvaluateModel(
        self, request: prediction_pb2.EvaluateModelRequest, context: grpc.ServicerContext
    ) -> Iterator[prediction_pb2.EvaluateModelResponse]:
        """Tell of two steps, then an evaluation."""
        self.evaluations.append(request)
        for done in (1, 2):
            progress = prediction_pb2.EvaluationProgress(rows_done=done, rows_total=2)
            yield prediction_pb2.EvaluateModelResponse(progress=progress)
            if self.broken_after and self.broken_after.pop(0) == done:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the server stops")
        found = prediction_pb2.ModelEvaluation(model=request.model, row_count=2, metrics={"label.accuracy": 0.5})
        output = found.outputs.add(output="label", rows=2)
        output.classes.add(label="good", rows=2, precision=1.0, recall=0.5, f1=0.667)
        output.worst_rows.add(row=2, loss=3.5, target="good", predicted="bad")
        found.rows_left_out = 1
        refusal = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "table: row 2: is bad", reason="BAD_CELL")
        found.row_errors.add(row=1, status=refusal.status())
        yield prediction_pb2.EvaluateModelResponse(evaluation=found)


def one_of(context: grpc.ServicerContext) -> Any:
    """Return the context of one request of a stream."""
    return OneOfAStream(context)


def _without_bad(table: Table) -> list[prediction_pb2.RowError]:
    """Take the rows of the text `bad` out of a table of one column, and return what is wrong with them."""
    texts = list(table.columns[0].strings.values)
    table.columns[0].strings.values[:] = [text for text in texts if text != "bad"]
    return [
        prediction_pb2.RowError(
            row=row,
            status=Refusal(
                grpc.StatusCode.INVALID_ARGUMENT, f"table: column 'review', row {row + 1}: is bad", reason="BAD_CELL"
            ).status(),
        )
        for row, text in enumerate(texts)
        if text == "bad"
    ]


def _column(table: Table, name: str, context: grpc.ServicerContext) -> list[str]:
    if table.arrow_ipc:
        return [_text(cell) for cell in read_ipc(table).column(name).to_pylist()]
    for column in table.columns:
        if column.name == name:
            return [_text(cell) for cell in getattr(column, column.WhichOneof("values") or "strings").values]
    Refusal(
        grpc.StatusCode.INVALID_ARGUMENT,
        "the model needs a column that is missing",
        reason="MISSING_COLUMN",
        violations={"table.columns": f"no column {name!r}; add it"},
    ).abort(context)


def _text(cell: str | bytes | None) -> str:
    return cell.decode() if isinstance(cell, bytes) else cell or ""


def _label(texts: list[str], request: prediction_pb2.PredictRequest) -> prediction_pb2.OutputPrediction:
    labels = ["long" if len(text) > 5 else "short" for text in texts]
    output = prediction_pb2.OutputPrediction(feature="label", labels=StringValues(values=labels))
    if request.probabilities:
        output.classes.extend(["long", "short"])
        for label in labels:
            output.probabilities.extend([0.75, 0.25] if label == "long" else [0.25, 0.75])
    for label in labels if request.top_k else ():
        output.top.append(prediction_pb2.TopClasses(labels=[label], probabilities=[0.75]))
    return output


class FakeEmbedding(EmbeddingServiceServicer):
    """Embeds a text as its length and its number of words."""

    def __init__(self) -> None:
        self.tables: list[Table] = []
        self.deleted: list[str] = []

    def Embed(self, request: embedding_pb2.EmbedRequest, context: grpc.ServicerContext) -> embedding_pb2.EmbedResponse:
        """Embed a column."""
        self.tables.append(request.table)
        texts = _column(request.table, request.feature.name, context)
        flat = [number for text in texts for number in (len(text), len(text.split()))]
        return embedding_pb2.EmbedResponse(dimension=2, embeddings=flat, embedding_space="embeddingSpaces/s1")

    def EmbedStream(
        self, request_iterator: Iterator[embedding_pb2.EmbedStreamRequest], context: grpc.ServicerContext
    ) -> Iterator[embedding_pb2.EmbedStreamResponse]:
        """Embed columns in order; the first request says of which feature."""
        feature = None
        for request in request_iterator:
            feature = feature or request.request.feature
            request.request.feature.CopyFrom(feature)
            try:
                yield embedding_pb2.EmbedStreamResponse(response=self.Embed(request.request, one_of(context)))
            except RefusedError as error:
                yield embedding_pb2.EmbedStreamResponse(error=error.status)

    def ListEmbeddingSpaces(
        self, request: embedding_pb2.ListEmbeddingSpacesRequest, context: grpc.ServicerContext
    ) -> embedding_pb2.ListEmbeddingSpacesResponse:
        """List one space."""
        space = embedding_pb2.EmbeddingSpace(name="embeddingSpaces/s1", row_count=10, size_bytes=4096, dimension=2)
        return embedding_pb2.ListEmbeddingSpacesResponse(embedding_spaces=[space])

    def DeleteEmbeddingSpace(
        self, request: embedding_pb2.DeleteEmbeddingSpaceRequest, context: grpc.ServicerContext
    ) -> embedding_pb2.DeleteEmbeddingSpaceResponse:
        """Note the deletion."""
        self.deleted.append(request.name)
        return embedding_pb2.DeleteEmbeddingSpaceResponse()
