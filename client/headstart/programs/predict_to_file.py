"""Have the server write what a model predicts of a data set into a file, and bring it home."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from headstart.errors import InvalidArgument
from headstart.programs.dataset_source import Data, Sender
from headstart.programs.download import Received
from headstart.programs.export import Exported, OnProgress, export_to
from headstart.programs.predict import PredictOptions
from headstart.programs.retry import RetryPolicy
from headstart.programs.upload import Progress
from headstart.v1.export_pb2 import Artifact, DatasetPredictions, ExportRequest
from headstart.v1.spec_pb2 import Backend
from headstart.values.image_columns import ImageColumns
from headstart.values.names import full_name
from headstart.wire.steps import Program


def predict_to_file(
    options: PredictOptions,
    data: Data,
    columns: Sequence[str],
    backend: Mapping[str, Any] | None,
    directory: Path | None,
    policy: RetryPolicy,
    on_progress: OnProgress | None = None,
    on_upload: Progress | None = None,
    on_download: Received | None = None,
) -> Program[Exported]:
    """Upload the rows unless they are there, have them predicted and, where a directory is given, download the file."""
    place = _backend(backend) if backend is not None else None  # before anything is uploaded
    source = yield from Sender(ImageColumns.unknown(), policy, on_upload).source_of(data)
    if source.WhichOneof("source") == "table":
        message = "rows in memory go with one call, which an export outlives; save them, or call predict_dataset"
        raise InvalidArgument(message, reason="INVALID_VALUE")
    wanted = DatasetPredictions(
        dataset=source,
        columns=columns,
        probabilities=options.probabilities,
        embedding_reuse=options.reuse(),
        backend=place,
    )
    request = ExportRequest(
        model=full_name("models", options.model), format=Artifact.FORMAT_PREDICTIONS, predictions=wanted
    )
    return (yield from export_to(request, directory, policy, on_progress, on_download))


def _backend(values: Mapping[str, Any]) -> Backend:
    try:
        return json_format.ParseDict(dict(values), Backend())
    except json_format.ParseError as error:
        raise InvalidArgument(f"backend: {error}", reason="INVALID_VALUE") from None
