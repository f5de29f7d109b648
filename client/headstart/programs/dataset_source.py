"""Turn whatever `data` a caller has into a DatasetSource, uploading files on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from headstart.programs.retry import RetryPolicy
from headstart.programs.upload import Progress, upload
from headstart.v1.dataset_pb2 import Dataset
from headstart.v1.training_pb2 import DatasetSource, TrainJobRequest
from headstart.values.spec import Spec, request_of
from headstart.values.table import Rows, table_of
from headstart.wire.steps import Program


@dataclass(frozen=True)
class ServerPath:
    """A file below the server's data root, relative to it: nothing is uploaded."""

    path: str


Data: TypeAlias = str | Path | ServerPath | Dataset | DatasetSource | Rows
"""A local file (str, Path), a ServerPath, a Dataset or its `datasets/...` name, or rows (see `Rows`)."""


def source_of(data: Data, policy: RetryPolicy, progress: Progress | None = None) -> Program[DatasetSource]:
    """Return where the rows are.

    Raises:
        FileNotFoundError: no such local file.
        InvalidArgument: rows that cannot be sent.
    """
    if isinstance(data, DatasetSource):
        return data
    if isinstance(data, ServerPath):
        return DatasetSource(path=data.path)
    if isinstance(data, Dataset):
        return DatasetSource(dataset=data.name)
    if isinstance(data, str) and data.startswith("datasets/"):
        return DatasetSource(dataset=data)
    if isinstance(data, str | Path):
        path = Path(data)
        if not path.is_file():
            raise FileNotFoundError(
                f"no file {path} here; for one below the server's data root use ServerPath({data!r})"
            )
        dataset = yield from upload(path, policy, progress=progress)
        return DatasetSource(dataset=dataset.name)
    return DatasetSource(table=table_of(data))


@dataclass(frozen=True)
class TrainingData:
    """The rows of one job."""

    train: Data
    validation: Data | None = None
    test: Data | None = None


def training_request(
    spec: Spec,
    data: TrainingData,
    policy: RetryPolicy,
    *,
    request_id: str = "",
    display_name: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Program[TrainJobRequest]:
    """Return the request of one job, its files uploaded. The spec is read first: a bad one uploads nothing."""
    request = request_of(spec)
    request.request_id = request_id
    request.display_name = display_name or ""
    request.dataset.CopyFrom((yield from source_of(data.train, policy, progress)))
    if data.validation is not None:
        request.validation_dataset.CopyFrom((yield from source_of(data.validation, policy, progress)))
    if data.test is not None:
        request.test_dataset.CopyFrom((yield from source_of(data.test, policy, progress)))
    return request
