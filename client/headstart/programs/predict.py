"""Predict one table or a stream of them, with the caller's own errors kept apart from the server's."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from headstart.errors import HeadstartError, Internal, InvalidArgument
from headstart.files.memory_images import holds_paths, image_inputs, may_name_images, table_with_images
from headstart.v1.model_pb2 import GetModelRequest
from headstart.v1.prediction_pb2 import PredictRequest
from headstart.v1.table_pb2 import Table
from headstart.values.names import full_name
from headstart.values.predictions import Predictions
from headstart.values.table import Rows, columns_of, row_count
from headstart.wire.methods import GET_MODEL, PREDICT, PREDICT_STREAM
from headstart.wire.steps import Emit, Flow, Program, call, compute, open_stream, read

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
            embedding_reuse=self._reuse(),
        )

    def _reuse(self) -> PredictRequest.EmbeddingReuse:
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


def _image_inputs(options: PredictOptions) -> Program[Collection[str]]:
    return image_inputs((yield from call(GET_MODEL, GetModelRequest(name=full_name("models", options.model)))))


class Batches:
    """The requests of one stream.

    gRPC takes them on a thread of its own, where an exception would be logged and turned into a status. So an
    exception of the caller's iterable ends the requests and is kept; the flow raises it once the batches before it are
    answered.
    """

    def __init__(self, options: PredictOptions, batches: Iterable[Rows]) -> None:
        self._options = options
        self._batches = batches
        self.images: Collection[str] = ()
        # Filled on gRPC's thread and emptied on the caller's, which a deque allows without a lock.
        self.unanswered: deque[int | None] = deque()
        self.error: Exception | None = None

    def requests(self) -> Iterator[PredictRequest]:
        """Yield the requests."""
        try:
            for rows in self._batches:
                yield self._next(rows)
        except Exception as error:  # noqa: BLE001  (raised again by `check`)
            self.error = error

    def find_images(self) -> Program[None]:
        """Ask which columns of the model hold images."""
        self.images = yield from _image_inputs(self._options)

    def _next(self, rows: Rows) -> PredictRequest:
        request = self._options.request(rows, self.images)
        self.unanswered.append(row_count(request.table))
        return request

    def answered(self, predictions: Predictions) -> None:
        """Match an answer with its request.

        Raises:
            Internal: they differ in their number of rows, so that rows and answers could be confused.
        """
        expected = self.unanswered.popleft() if self.unanswered else 0
        if expected is not None and predictions.row_count != expected:
            raise Internal(f"the server answered {predictions.row_count} rows for {expected}")

    def check(self) -> None:
        """Raise the caller's own exception, or name the batches that have no answer."""
        if self.error is not None:
            raise self.error
        if self.unanswered:
            raise Internal(f"the server ended the stream with {len(self.unanswered)} batches unanswered")


def predict_stream(batches: Batches) -> Flow[Predictions]:
    """Emit the predictions of each batch, in order."""
    yield from batches.find_images()
    stream = yield from open_stream(PREDICT_STREAM, batches.requests())
    try:
        while (response := (yield from read(stream))) is not None:
            predictions = Predictions.of(response)
            batches.answered(predictions)
            yield Emit(predictions)
    except HeadstartError:
        if batches.error is not None:
            raise batches.error from None
        raise
    batches.check()
