"""What clients ask published models, for threads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from headstart.programs.dataset_source import Data
from headstart.programs.download import Received
from headstart.programs.export import Exported, OnProgress
from headstart.programs.predict import PredictOptions, predict, predict_many, predict_stream
from headstart.programs.predict_dataset import OnRows, evaluate, predict_dataset
from headstart.programs.predict_to_file import predict_to_file
from headstart.programs.retry import RetryPolicy
from headstart.programs.upload import Progress
from headstart.v1.prediction_pb2 import ModelEvaluation
from headstart.values.predictions import Predictions
from headstart.values.table import Rows
from headstart.wire.driver import Driver


class Predicting:
    """The methods of a client that predict and evaluate."""

    _driver: Driver
    _retry: RetryPolicy

    def predict(
        self,
        model: str,
        rows: Rows,
        *,
        probabilities: bool = True,
        top_k: int = 0,
        embedding_reuse: str = "exact",
    ) -> Predictions:
        """Predict columns, rows or a DataFrame. `embedding_reuse` is `exact`, `any` or `none`.

        Images are bytes, or paths of files: `{"photo": [Path("a.jpg"), b"...", None]}`.
        """
        options = PredictOptions(model, probabilities, top_k, embedding_reuse)
        return self._driver.run(predict(options, rows))

    def predict_many(
        self,
        models: Sequence[str],
        rows: Rows,
        *,
        probabilities: bool = True,
        top_k: int = 0,
        embedding_reuse: str = "exact",
    ) -> dict[str, Predictions]:
        """Predict the same rows by several models; what frozen encoders read for more than one is read once.

        Returns:
            By model, as given. One that failed has no outputs, and its `error`.
        """
        options = PredictOptions("", probabilities, top_k, embedding_reuse)
        return self._driver.run(predict_many(models, options, rows))

    def predict_stream(
        self,
        model: str,
        batches: Iterable[Rows],
        *,
        probabilities: bool = True,
        top_k: int = 0,
        embedding_reuse: str = "exact",
        errors: str = "raise",
        skip_bad_rows: bool = False,
    ) -> Iterator[Predictions]:
        """Predict any number of batches, in order. `batches` is read on another thread, somewhat ahead.

        With `errors="return"` a batch that the server refuses has its `error` in its place, and the stream goes on.
        `skip_bad_rows` leaves out rows that cannot be read, and tells them in `row_errors`.
        """
        options = PredictOptions(model, probabilities, top_k, embedding_reuse)
        return self._driver.stream(predict_stream(options, batches, errors, skip_bad_rows))

    def predict_dataset(
        self,
        model: str,
        data: Data,
        *,
        probabilities: bool = True,
        top_k: int = 0,
        embedding_reuse: str = "exact",
        first_row: int = 0,
        on_upload: Progress | None = None,
    ) -> Iterator[Predictions]:
        """Predict every row of a data set on the server, in order, some rows at a time, from `first_row` on.

        `data` is what `train` takes: a file or folder, which is uploaded unless it is there, a name of an uploaded data
        set, a `ServerPath`, or rows. A stream that breaks goes on where it was. Rows that cannot be read are left out,
        and told in `row_errors` by their number in the data set.
        """
        options = PredictOptions(model, probabilities, top_k, embedding_reuse)
        return self._driver.stream(predict_dataset(options, data, first_row, self._retry, on_upload))

    def predict_to_file(
        self,
        model: str,
        data: Data,
        *,
        columns: Sequence[str] = (),
        probabilities: bool = False,
        embedding_reuse: str = "exact",
        backend: Mapping[str, Any] | None = None,
        output_dir: str | os.PathLike[str] | None = None,
        on_progress: OnProgress | None = None,
        on_upload: Progress | None = None,
        on_download: Received | None = None,
    ) -> Exported:
        """Have the server write what a model predicts of a whole data set into a Parquet file, however large.

        `data` is what `train` takes but for rows in memory. The file has a row for each row of the data set, in its
        order: `columns` of the data set, FEATURE_prediction, with `probabilities` FEATURE_probability_CLASS, and
        `error` where a row could not be read. It is an artifact, `predictions.parquet`, which is downloaded, verified,
        where `output_dir` is given. The export goes on where the caller leaves, and after a restart of the server;
        `on_progress` is told the rows that are done. With `backend={"type": "ray", "trainer": {"num_workers": 4}}` the
        workers of a Ray cluster encode what the store lacks.
        """
        options = PredictOptions(model, probabilities, embedding_reuse=embedding_reuse)
        directory = Path(output_dir) if output_dir is not None else None
        return self._driver.run(
            predict_to_file(
                options, data, columns, backend, directory, self._retry, on_progress, on_upload, on_download
            )
        )

    def evaluate(
        self,
        model: str,
        data: Data,
        *,
        embedding_reuse: str = "exact",
        on_rows: OnRows | None = None,
        on_upload: Progress | None = None,
    ) -> ModelEvaluation:
        """Evaluate a model on a data set with its output columns: metrics, class by class, calibration, worst rows.

        `data` is what `train` takes. Rows without a target are left out of their output.
        """
        return self._driver.run(evaluate(model, data, embedding_reuse, self._retry, on_rows, on_upload))
